import { escapeIdentifier } from "pg";
import { rows } from "../../../base/sql";
import { openSession, Session } from "../../../connect/session";
import type { Reader } from "../../../connect";
import { worthThrottling } from "../../../migrate/workers/crew";
import { isFull, steady, type Pace } from "../../../migrate/workers/pace";
import { Throttle } from "../../../migrate/workers/throttle";
import type { Site } from "../../check";
import { isLocked } from "./readings";
import type { Table } from "./table";

/** So many rows of a table are what an application asks for, one by one, to feel how fast it is served. */
const probes = 100;

/** At full speed; what is through before a throttle could tell what is usual needs none. */
const unhurried = (): Pace => steady(1, "");

/**
 * The throttle of data migrations, for a pass that only reads: it begins slowly, and goes slower while the application feels it.
 * @param largest the table whose rows are asked for one by one, with how many rows there are in all
 */
export async function openPace(
  site: Pick<Site, "host" | "declared" | "signal" | "say">,
  reader: Reader,
  largest: { table: Table | undefined; rows: number },
): Promise<Pace> {
  const { host, declared, signal } = site;
  const { table } = largest;
  if (declared.throttled === false || !worthThrottling(largest.rows) || !table || table.key.length === 0)
    return unhurried();
  const columns = table.key.map(({ name }) => escapeIdentifier(name));
  const asked = reader.read(async (db) => {
    await db.query("SET LOCAL row_security = off");
    const text = `SELECT ${columns.map((name) => `${name}::text`).join(", ")} FROM ONLY ${table.quoted} LIMIT ${probes}`;
    return (await rows<Record<string, string>>(db, text)).map((row) => Object.values(row));
  });
  const keys = await asked.catch((err: unknown) => {
    if (isLocked(err)) return undefined;
    throw err;
  });
  if (keys === undefined) return steady(0.1, `${table.shown} is locked, by which the server would be watched`);
  if (keys.length === 0) return unhurried();
  let at = 0;
  const where = table.key.map(({ bare }, i) => `${columns[i] ?? ""} = $${i + 1}::${bare}`);
  try {
    const throttle = await Throttle.open({
      connect: async () => new Session(await openSession(host.settings, { detail: "validation, throttle", signal })),
      tables: [table.name],
      probe: {
        text: `SELECT 1 FROM ONLY ${table.quoted} WHERE ${where.join(" AND ")}`,
        values: () => keys[at++ % keys.length] ?? [],
      },
      workers: () => [reader.pid],
      budget: declared.limits.warnSlowdown,
      maxWorkers: 1,
      signal,
    });
    throttle.unavailable().forEach((line) => site.say(line));
    return throttle;
  } catch (err) {
    if (!isFull(err)) throw err;
    return steady(0.1, "no connection is left to watch the server by");
  }
}
