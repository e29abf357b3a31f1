import * as pulumi from "@pulumi/pulumi";
import type { GuardianConfig } from "../../config/keys";
import { packageName } from "../../spec";

/**
 * The provider that all resources of the stack share. It is explicit, so that the project's other configuration stays
 * out of its inputs and state; it names a database and never holds a password.
 */
export class GuardianProvider extends pulumi.ProviderResource {
  constructor(name: string, args: Pick<GuardianConfig, "database" | "locks">, options?: pulumi.ResourceOptions) {
    const { database, locks } = args;
    // Provider inputs are strings on the wire; an object travels as JSON (Pulumi, "Provider configuration").
    const inputs = {
      ...(database && { database: JSON.stringify(database) }),
      ...(locks && { locks: JSON.stringify(locks) }),
    };
    super(packageName, name, inputs, options);
  }
}
