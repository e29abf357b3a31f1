import { GuardianError } from "../base/errors";
import { shown, sqlName, sqlText } from "../base/names";
import { rows, type Queryable } from "../base/sql";
import { standingTables } from "../ledger/objects";
import { archiveSchema, ledgerSchema } from "../ledger/schema";
import { pulumiCommand } from "../../spec";

/** Schemas in which the migration makes tables. */
const schemas = ["public", ledgerSchema, archiveSchema];

/** A publication of this database (PostgreSQL manual, CREATE PUBLICATION). */
export interface Publication {
  name: string;
  owner: string;
  /** FOR ALL TABLES. */
  all: boolean;
  /** FOR TABLES IN SCHEMA, of those in which the migration makes tables. */
  schemas: string[];
  /** How many tables are in its list. */
  listed: number;
  /** What it sends: insert, update, delete, truncate. */
  acts: string;
  /** Changes of a partition as the partitioned table's. */
  viaRoot: boolean;
  /** From 18 on: n, or s for stored generated columns. */
  generated: string | null;
}

/** @returns all publications, by name */
export async function readPublications(db: Queryable): Promise<Publication[]> {
  return rows<Publication & Record<string, unknown>>(
    db,
    `SELECT p.pubname AS name, pg_catalog.pg_get_userbyid(p.pubowner) AS owner, p.puballtables AS all,
       ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid
             WHERE s.pnpubid = p.oid AND n.nspname = ANY ($1) ORDER BY 1) AS schemas,
       (SELECT count(*)::integer FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid) AS listed,
       pg_catalog.concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
         CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END) AS acts,
       p.pubviaroot AS "viaRoot", pg_catalog.to_jsonb(p)->>'pubgencols' AS generated
     FROM pg_catalog.pg_publication p ORDER BY p.pubname`,
    [schemas],
  );
}

/** @returns whether a new table of the migration is sent to whoever reads the publication */
export const isOpen = ({ all, schemas: of }: Publication): boolean => all || of.length > 0;

/** @returns what it is for, in SQL's words */
export function scopeOf({ all, schemas: of, listed }: Publication): string {
  if (all) return "FOR ALL TABLES";
  if (of.length > 0) return `FOR TABLES IN SCHEMA ${of.map(sqlName).join(", ")}`;
  return `a list of ${listed} table${listed === 1 ? "" : "s"}`;
}

/** Who reads the changes of this database's tables. */
interface Reader extends Record<string, unknown> {
  slot: string;
  plugin: string;
  active: boolean;
  /** WAL that the server keeps for it, in bytes. */
  held: string | null;
  /** The subscriber, where one is connected and this role may see it. */
  client: string | null;
}

/** @returns the logical slots of this database with their subscribers, in words; they come and go */
export async function describeReaders(db: Queryable): Promise<string[]> {
  const found = await rows<Reader>(
    db,
    `SELECT s.slot_name AS slot, s.plugin, s.active, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint AS held,
       nullif(pg_catalog.concat_ws(' at ', r.application_name, pg_catalog.host(r.client_addr)), '') AS client
     FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
     WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database() ORDER BY 1`,
  );
  return found.map(({ slot, plugin, active, held, client }) => {
    const parts = [
      shown(plugin),
      active ? `read by ${client === null ? "a subscriber" : shown(client)}` : "read by nobody now",
      ...(held === null ? [] : [`${(Number(held) / 1e6).toFixed(1)} MB of WAL are kept for it`]),
      // Publications are pgoutput's; other plugins decode every table, whatever is published.
      ...(plugin === "pgoutput" ? [] : ["it is given every table's changes, published or not"]),
    ];
    return `logical slot ${sqlName(slot)} (${parts.join("; ")})`;
  });
}

/**
 * The statements that turn a publication into a list of the tables that it sends now, ours aside. What a transaction wrote
 * before the change and commits after it may never be sent (seen on 15.18 and 16.14, of a publication that was made anew):
 * the tables are locked against writers, so that none is open across it.
 */
async function listing(db: Queryable, publication: Publication): Promise<string[]> {
  const sent = await sentTables(db, publication);
  const names = (of: typeof sent): string => of.map((it) => `${sqlName(it.schema)}.${sqlName(it.name)}`).join(", ");
  const lock = sent.length > 0 ? ["SET LOCAL lock_timeout = '2s';", `LOCK TABLE ${names(sent)} IN SHARE MODE;`] : [];
  return ["BEGIN;", ...lock, ...changes(publication, names(sent), names(sent.filter((it) => !it.listed))), "COMMIT;"];
}

function changes(publication: Publication, tables: string, unlisted: string): string[] {
  const name = sqlName(publication.name);
  if (!publication.all) {
    const drop = `ALTER PUBLICATION ${name} DROP TABLES IN SCHEMA ${publication.schemas.map(sqlName).join(", ")};`;
    return [drop, ...(unlisted === "" ? [] : [`ALTER PUBLICATION ${name} ADD TABLE ${unlisted};`])];
  }
  const options = [
    `publish = ${sqlText(publication.acts)}`,
    ...(publication.viaRoot ? ["publish_via_partition_root = true"] : []),
    ...(publication.generated === "s" ? ["publish_generated_columns = stored"] : []),
  ];
  const list = tables === "" ? "" : ` FOR TABLE ${tables}`;
  return [`DROP PUBLICATION ${name};`, `CREATE PUBLICATION ${name}${list} WITH (${options.join(", ")});`];
}

/** A partitioned table stands for its partitions: those that are made later are sent as they are now. */
async function sentTables(
  db: Queryable,
  publication: Publication,
): Promise<{ schema: string; name: string; listed: boolean }[]> {
  const { all, name, schemas: of } = publication;
  const ours = await standingTables(db);
  return rows(
    db,
    `SELECT n.nspname AS schema, c.relname AS name, EXISTS (SELECT FROM pg_catalog.pg_publication_rel l
       JOIN pg_catalog.pg_publication p ON p.oid = l.prpubid WHERE p.pubname = $4 AND l.prrelid = c.oid) AS listed
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384 AND n.nspname <> 'information_schema'
       AND n.nspname <> ALL ($1) AND n.nspname || '.' || c.relname <> ALL ($5)
       AND CASE WHEN $2 THEN NOT c.relispartition ELSE n.nspname = ANY ($3)
         AND (NOT c.relispartition OR (SELECT r.relnamespace FROM pg_catalog.pg_class r WHERE r.oid = pg_catalog.pg_partition_root(c.oid)) <> c.relnamespace) END
     ORDER BY 1, 2`,
    [[ledgerSchema, archiveSchema], all, of, name, ours],
  );
}

/** The key of the configuration that accepts a publication, as the command wants it. */
function acceptance(name: string): string {
  if (shown(name) !== name)
    return `in the stack's file, below guardian:publications, ${shown(JSON.stringify(name))}: accepted`;
  const path = /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
  return pulumiCommand(`config set --path '${`guardian:publications${path}`.replaceAll("'", "'\\''")}' accepted`);
}

/**
 * @param accepted names of publications that new tables may join
 * @returns the refusal of every other one that they would join, with the ways out; undefined where there is none
 */
export async function openPublications(db: Queryable, accepted: readonly string[]): Promise<GuardianError | undefined> {
  const open = (await readPublications(db)).filter((one) => isOpen(one) && !accepted.includes(one.name));
  if (open.length === 0) return undefined;
  const readers = await describeReaders(db);
  const todo: string[] = [];
  for (const publication of open) {
    const name = sqlName(publication.name);
    const lines = (await listing(db, publication)).map((line) => `\n       ${line}`).join("");
    const made = publication.all
      ? `FOR ALL TABLES cannot be altered into a list: ${name} is dropped and made again with the tables that it sends now`
      : `turn ${name} into a list of the tables that it sends now`;
    const how = `${made}. In one transaction, and while nobody writes to them (writers wait for it), or subscribers could miss what was written just before. A subscription knows its publication by name: it goes on where it was, nothing is copied anew, and it needs no REFRESH PUBLICATION. As a superuser, or as who owns both these tables and it`;
    todo.push(`${how}:${lines}`);
  }
  todo.push(
    `let new tables join, after they are made on every subscriber too, which would else stop at the first: ${open.map(({ name }) => acceptance(name)).join("; ")}`,
  );
  const named = open.map((one) => `${sqlName(one.name)} (${scopeOf(one)}, owner ${sqlName(one.owner)})`);
  return new GuardianError("publication-open", {
    what: `new tables would join ${open.length === 1 ? "a publication" : "publications"}: whoever reads it is sent the ledger and every patient's rows of v7; a subscriber that lacks these tables stops, and the server keeps all WAL from then on`,
    where: [`publication ${named.join(", ")}`, readers.length > 0 ? readers.join(", ") : "no logical slot now"].join(
      "; ",
    ),
    todo,
  });
}
