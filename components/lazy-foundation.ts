import { createRequire } from "node:module";

const load = createRequire(__filename);

/**
 * The same for foundation/. Not with the migration's: whoever imports these has the compiler read types of @pulumi/aws.
 */
export const lazily = {
  get awsBackupStore() {
    return load("./aws-backup-store") as typeof import("./aws-backup-store");
  },
  get awsMonitoring() {
    return load("./aws-monitoring") as typeof import("./aws-monitoring");
  },
  get databaseAccess() {
    return load("./database-access") as typeof import("./database-access");
  },
};
