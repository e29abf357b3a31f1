import { integer, like, list, optional, otherwise, record, within, type Complaint } from "../spec";
import { isFhir, type SignedOff } from "../spec/sign-offs";

/** Nobody's name and no query: an URL is shown, and what is in these may be a secret. Only this machine's may be plain http. */
const url = /^(https:\/\/[^\s/@?#]+|http:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?)(\/[^\s@?#]*)?$/;

const endpoint = record(
  {
    url: like(
      url,
      "an https URL without user, query and fragment (http on this machine alone)",
      "What is asked, by GET. One that ends in /metadata is FHIR's, which must answer with a CapabilityStatement of R4.",
    ),
    status: otherwise(
      200,
      within(100, 599, integer("The status that it must answer with. A redirect is not followed.")),
    ),
    header: optional(
      like(
        /^env:[A-Za-z_]\w*$/,
        "env:NAME",
        "The variable with a header that is sent along, as one line, `Authorization: Bearer …`; never the header itself.",
      ),
    ),
  },
  "An endpoint.",
);

export const endpointKeys = {
  endpoints: otherwise(
    [],
    list(
      endpoint,
      "Endpoints of the application that must respond, before the migration and after it. Where there are none, guardian:signOff says so of api-endpoints; where none is FHIR's /metadata, of external-systems.",
      "a list of {url, status, header}",
    ),
  ),
};

/** What endpoints are asked is not to be signed off besides: one of the two would be passed over. */
export function besides(found: {
  signOff?: SignedOff | undefined;
  endpoints?: readonly ({ url: string } | undefined)[] | undefined;
}): Complaint[] {
  const urls = (found.endpoints ?? []).flatMap((one) => (one?.url === undefined ? [] : [one.url]));
  const twice = urls.flatMap((one, i): Complaint[] =>
    urls.indexOf(one) < i ? [{ path: ["endpoints", i, "url"], text: "is asked already by the one before it" }] : [],
  );
  const asked = { "api-endpoints": urls.length > 0, "external-systems": urls.some(isFhir) };
  const idle = Object.entries(asked).flatMap(([item, is]): Complaint[] =>
    is && Object.hasOwn(found.signOff ?? {}, item)
      ? [{ path: ["signOff", item], text: "has no effect: guardian:endpoints answers it" }]
      : [],
  );
  return [...twice, ...idle];
}
