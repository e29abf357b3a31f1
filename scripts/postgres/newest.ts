import { findClient, type ClientProgram } from "../../engine/backup/client";
import { GuardianError } from "../../engine/base/errors";
import type { Major } from "../../engine/server/binaries";

/** The majors that the demo and the interactive server choose from, best first: production's is 17. */
const offered: readonly Major[] = [17, 15];

/**
 * The newest embedded server that the pg_dump at hand can dump: pg_dump refuses servers newer than itself.
 *
 * @throws GuardianError naming the package to install when there is no usable pg_dump at all.
 */
export async function newestDumpable(env = process.env): Promise<{ major: Major; pgDump: ClientProgram; why: string }> {
  let missing: unknown;
  for (const major of offered) {
    try {
      const pgDump = await findClient("pg_dump", major, env);
      const newer = offered.filter((one) => one > major);
      const why = newer.length === 0 ? "" : `; its pg_dump is the newest here, so not ${newer.join(" or ")}`;
      return { major, pgDump, why: `PostgreSQL ${major}, dumped by pg_dump ${pgDump.version}${why}` };
    } catch (err) {
      if (!(err instanceof GuardianError)) throw err;
      missing ??= err; // the error about the best server names the package that is worth installing
    }
  }
  throw missing;
}
