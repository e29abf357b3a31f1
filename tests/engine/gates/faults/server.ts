import { openSync, closeSync, writeSync } from "node:fs";
import { join } from "node:path";
import { initialise, clusterIn, prepareFolder, temporaryFolder } from "../../../../engine/server/cluster";
import { binaries } from "../../../../engine/server/binaries";
import { memoryFolder } from "../../../../engine/server/memory";
import { reachable, serverAccount } from "../../../../engine/server/account";
import { startServer, type Server } from "../../../../engine/server/server";
import { withClient, type Login } from "../../../../scripts/v6/database";
import { major } from "../../../support/postgres";
import { sql, type Act, type Fault, type Place } from "./fault";

/** What belongs to the whole server, and would be found in other tests' databases too: planted on one of its own. */

/** Starts a server whose pages have checksums, whatever initdb does by itself, and which clears up nothing of what is planted. */
export async function startChecked(): Promise<Server> {
  const account = serverAccount();
  const { folder } = clusterIn(temporaryFolder(account, memoryFolder()));
  prepareFolder(folder, account);
  const program = reachable(binaries(major), account, () => undefined);
  await initialise(program, clusterIn(folder), account, ["--data-checksums"]);
  return startServer({ major, dataDir: folder, throwAway: true, settings: { autovacuum: "off" } });
}

const other = ({ db }: Place, database: string): Login => ({ ...db.admin, database });

/** A page as a disk gives it back that has lost some of it; it is read once. The copy's pages are in no buffer yet. */
const damage: Act = async (place) => {
  const { admin } = place;
  await admin.query("CREATE DATABASE whole TEMPLATE template0");
  await withClient(other(place, "whole"), (client) =>
    client.query("CREATE TABLE public.notes AS SELECT i, repeat('x', 100) AS text FROM generate_series(1, 100) i"),
  );
  await admin.query("CREATE DATABASE damaged TEMPLATE whole STRATEGY file_copy");
  await withClient(other(place, "damaged"), async (client) => {
    const { rows } = await client.query<{ data: string; path: string }>(
      "SELECT current_setting('data_directory') AS data, pg_relation_filepath('public.notes') AS path",
    );
    const file = openSync(join(rows[0]?.data ?? "", rows[0]?.path ?? ""), "r+");
    writeSync(file, Buffer.alloc(64, 0x55), 0, 64, 6000);
    closeSync(file);
    await client.query("SELECT count(text) FROM public.notes").then(
      () => Promise.reject(new Error("the page was read")),
      () => undefined,
    );
  });
};

/** A database of which no table was frozen for so many transactions, as the catalogue says it. */
const aged =
  (column: "datfrozenxid" | "datminmxid", millions: number): Act =>
  async ({ admin }) => {
    const now = column === "datfrozenxid" ? "pg_current_xact_id()::text::bigint" : "next_multixact_id::text::bigint";
    await admin.query("CREATE DATABASE old TEMPLATE template0");
    await admin.query(
      `UPDATE pg_database SET ${column} = ((SELECT ${now} FROM pg_control_checkpoint()) - ${millions}000000 + 4294967296)::text::xid
       WHERE datname = 'old'`,
    );
  };
const dropOld = sql("DROP DATABASE old");

export const ofServer: readonly Fault[] = [
  {
    check: "checksums",
    at: "before",
    fault: "a page that is not as it was written",
    says: /^failed: damaged: [1-9]\d*, the last on 2/,
    plant: damage,
    undo: async ({ admin }) => {
      await admin.query("DROP DATABASE damaged WITH (FORCE)");
      await admin.query("DROP DATABASE whole");
    },
  },
  {
    check: "wraparound",
    at: "before",
    fault: "a database whose transaction ids are almost used up",
    says: /^failed: transaction ids 1950 million, multixacts \d+ million old$/,
    plant: aged("datfrozenxid", 1950),
    undo: dropOld,
  },
  {
    check: "wraparound",
    fault: "half of them",
    verdict: "warned",
    says: /^warned: transaction ids 1100 million/,
    plant: aged("datfrozenxid", 1100),
    undo: dropOld,
  },
  {
    check: "wraparound",
    fault: "multixacts that are almost used up",
    says: /^failed: .* multixacts 2000 million old$/,
    plant: aged("datminmxid", 2000),
    undo: dropOld,
  },
];
