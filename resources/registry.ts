import { connectionKeys } from "../config/connection";
import { lockTimes } from "../config/locks";
import { resolveConnection, type DatabaseInput } from "../engine/connect";
import { Database } from "../engine/database";
import { engineParameters, type ChosenLocks } from "../engine/parameters";
import { fromPostgres } from "../engine/base/errors";
import type { Plugin } from "../provider/types";
import { assessHandler } from "./assess/handle";
import { backupHandler } from "./backup/handle";
import { dataMigrationHandler } from "./data-migration/handle";
import { featureFlagHandler } from "./feature-flag/handle";
import { gateHandler } from "./gate/handle";
import { ledgerHandler } from "./ledger/handle";
import { migrationSessionHandler } from "./migration-session/handle";
import { sessionCompletionHandler } from "./session-completion/handle";
import { packageName } from "../spec";
import { sqlModuleHandler } from "./sql-module/handle";

/** The plugin: every kind of resource has one line here. */
export const plugin: Plugin<Database> = {
  name: packageName,
  version: "0.1.0",
  description: "The Guardian v6 to v7 migration of a PostgreSQL database, every step a resource.",
  config: { ...connectionKeys, ...lockTimes },
  resources: [
    ledgerHandler,
    backupHandler,
    gateHandler,
    sqlModuleHandler,
    migrationSessionHandler,
    dataMigrationHandler,
    featureFlagHandler,
    sessionCompletionHandler,
  ],
  functions: [assessHandler],
  configure: (config) => {
    const settings = resolveConnection(config["database"] as DatabaseInput | undefined, process.env);
    const parameters = engineParameters(process.env, config["locks"] as ChosenLocks | undefined);
    return Promise.resolve(new Database(settings, parameters));
  },
  presentable: (err) => fromPostgres(err, "the plugin, outside of any call"),
  close: (database) => database.close(),
};
