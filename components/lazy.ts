import { createRequire } from "node:module";

const load = createRequire(__filename);

/** What is loaded where a stack's configuration names it: packages with a plugin of their own, which others need not have. */
export const lazily = {
  get databaseAccess() {
    return load("./database-access") as typeof import("./database-access");
  },
};
