import * as pulumi from "@pulumi/pulumi";
import type { GuardianConfig } from "../../config/keys";
import { packageName } from "../../spec";

/**
 * The provider that all resources of the stack share. It is explicit, so that the project's other configuration stays
 * out of its inputs and state; it names a database and never holds a password.
 */
export class GuardianProvider extends pulumi.ProviderResource {
  /** @param secrets keys of these that are to be secret in the state */
  constructor(name: string, args: Pick<GuardianConfig, "database" | "locks">, secrets: ReadonlySet<string>) {
    const { database, locks } = args;
    const text = (key: string, value: object): pulumi.Input<string> =>
      secrets.has(key) ? pulumi.secret(JSON.stringify(value)) : JSON.stringify(value);
    // Provider inputs are strings on the wire; an object travels as JSON (Pulumi, "Provider configuration").
    const inputs = {
      ...(database && { database: text("database", database) }),
      ...(locks && { locks: text("locks", locks) }),
    };
    super(packageName, name, inputs);
  }
}
