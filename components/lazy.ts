import { createRequire } from "node:module";

const load = createRequire(__filename);

/** What is loaded where a stack's configuration names it: packages with a plugin of their own, which others need not have. */
export const lazily = {
  get awsBackupStore() {
    return load("./aws-backup-store") as typeof import("./aws-backup-store");
  },
  get awsMonitoring() {
    return load("./aws-monitoring") as typeof import("./aws-monitoring");
  },
  get awsSnapshot() {
    return load("./aws-snapshot") as typeof import("./aws-snapshot");
  },
  get databaseAccess() {
    return load("./database-access") as typeof import("./database-access");
  },
};
