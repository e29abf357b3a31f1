import { createRequire } from "node:module";

const load = createRequire(__filename);

/** What is loaded where the migration's configuration names it: packages with a plugin of their own, which others need not have. */
export const lazily = {
  get awsSnapshot() {
    return load("./aws-snapshot") as typeof import("./aws-snapshot");
  },
};
