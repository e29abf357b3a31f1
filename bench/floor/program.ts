import * as pulumi from "@pulumi/pulumi";
import type { Program } from "../../scripts/pulumi/inline";
import type { StateResource } from "../stack";
import { floorPackage, stepToken } from "./names";

/**
 * The same graph as a stack's state has, of resources that do nothing: as many, with the same names, parents and
 * dependencies.
 */
export function sameGraph(state: readonly StateResource[]): Program {
  return () => {
    const provider = new pulumi.ProviderResource(floorPackage, "floor", {});
    const made = new Map<string, pulumi.Resource>();
    for (const { urn, type, custom, parent, dependencies } of state) {
      if (type === "pulumi:pulumi:Stack" || type.startsWith("pulumi:providers:")) continue;
      const name = urn.split("::").at(-1) ?? urn;
      const within = made.get(parent ?? "");
      const after = (dependencies ?? []).map((one) => made.get(one)).filter((one) => one !== undefined);
      const options = { ...(within ? { parent: within } : {}), dependsOn: after };
      const resource = custom
        ? new pulumi.CustomResource(stepToken, name, {}, { ...options, provider })
        : new pulumi.ComponentResource(type, name, {}, options);
      made.set(urn, resource);
    }
    return Promise.resolve({});
  };
}
