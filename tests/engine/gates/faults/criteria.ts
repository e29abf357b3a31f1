import { signOffs, type SignedOff, type SignOffItem } from "../../../../spec/sign-offs";
import type { Fault, Place, Stack } from "./fault";

export const items = Object.keys(signOffs) as SignOffItem[];

/** What people have signed off on that day. */
export const signed = (on: string, of: readonly SignOffItem[] = items): SignedOff =>
  Object.fromEntries(of.map((item) => [item, { by: "A. Lovelace", on, note: "tried with seven users" }]));

/** A stack that names endpoints of its application by their paths. */
export const naming =
  (...paths: string[]) =>
  ({ url = "" }: Place): Stack => ({
    declared: { endpoints: paths.map((path) => ({ url: `${url}${path}`, status: 200 })) },
  });

/** Of an application that answers, and a stack with every sign-off: what somebody has not said, and what answers wrongly. */
export const criteria: readonly Fault[] = [
  ...["api-endpoints", "external-systems"].map((check): Fault => ({
    check,
    fault: "nobody has signed off, nor is an endpoint named",
    says: /^failed: nobody has signed off that /,
    planted: ({ stack }) => ({ declared: { endpoints: [], signOff: without(stack, check) } }),
  })),
  {
    check: "api-endpoints",
    at: "end",
    fault: "an endpoint that answers otherwise",
    says: /^failed: 2 of 3 respond; http.*\/gone: answered 503 in place of 200/,
    planted: naming("/ok", "/fhir/metadata", "/gone"),
  },
  {
    check: "external-systems",
    at: "end",
    fault: "a FHIR server of another release",
    says: /^failed: 0 of 1 respond; http.*\/r5\/metadata: its CapabilityStatement is not of R4/,
    planted: naming("/ok", "/r5/metadata"),
  },
  ...(["user-acceptance", "user-experience", "documentation-updated", "support-trained"] as const).map(
    (check): Fault => ({
      check,
      at: "end",
      fault: "nobody has signed it off",
      says: new RegExp(`^failed: nobody has signed off that ${signOffs[check]}$`),
      planted: ({ stack }) => ({ declared: { signOff: without(stack, check) } }),
    }),
  ),
];

/** All that was signed off, but one. */
function without({ declared }: Stack, item: string): SignedOff {
  return Object.fromEntries(Object.entries(declared?.signOff ?? {}).filter(([name]) => name !== item));
}
