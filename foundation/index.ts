import * as pulumi from "@pulumi/pulumi";
import { lazily } from "../components/lazy";
import { readFoundation, readPasswords } from "../config/foundation";

/**
 * What outlives a migration, brought up first and seldom, by an administrator: the migration's stack needs none, and its
 * destroy takes nothing of this away. Each part is loaded where it is configured: a stack without roles needs no plugin of
 * PostgreSQL's, one without a cloud none of the cloud's.
 */
export = async () => {
  const config = readFoundation();
  const outputs: Record<string, unknown> = {};

  if (config.access && config.database) {
    const { DatabaseAccess } = lazily.databaseAccess;
    const passwords = readPasswords(config, __dirname, process.env);
    const { database, access } = config;
    outputs["roles"] = new DatabaseAccess("access", { database, access, passwords }).roles;
  }

  if (Object.keys(outputs).length === 0) {
    const keys = "its keys are in docs/configuration.md, and foundation/Pulumi.prod.yaml has them all";
    await pulumi.log.warn(`stack ${pulumi.getStack()} of foundation/ configures nothing: ${keys}`);
  }
  return outputs;
};
