import * as pulumi from "@pulumi/pulumi";
import type { GuardianConfig } from "../../config/keys";
import { packageName } from "../../spec";

/**
 * The provider that all resources of the stack share. It is explicit, so that the project's other configuration stays
 * out of its inputs and state; it names a database and never holds a password.
 */
export class GuardianProvider extends pulumi.ProviderResource {
  constructor(name: string, args: Pick<GuardianConfig, "database">, options?: pulumi.ResourceOptions) {
    // Provider inputs are strings on the wire; an object travels as JSON (Pulumi, "Provider configuration").
    super(packageName, name, args.database ? { database: JSON.stringify(args.database) } : {}, options);
  }
}
