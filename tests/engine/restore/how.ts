import type { RestoreOptions } from "../../../engine/backup/restore";

/** @param place where the clients are, once its hooks have run @returns how a restore of a test runs, but for what is said */
export const howOf =
  (place: { readonly bin: string }) =>
  (more: Partial<RestoreOptions> = {}): RestoreOptions => ({
    ...{ jobs: 2, roles: true, liveDatabases: [], signal: new AbortController().signal },
    ...{ env: { GUARDIAN_PG_BIN: place.bin }, ...more },
  });
