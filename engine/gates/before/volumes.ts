import { v6Tables } from "../../../spec/roles";
import { sqlName } from "../../base/names";
import { rows } from "../../base/sql";
import { couldNotRun, some, type Check } from "../check";

/** Above so many a count would cost seconds; the planner's figure is told, and said to be one. */
const countUpTo = 200_000;

/** A table whose name is that of one of v6's, in whatever schema and case. */
interface Sized extends Record<string, unknown> {
  schema: string;
  name: string;
  /** The planner's figure, with those of its partitions; negative: never analysed. */
  about: number;
  /** With indexes, TOAST and partitions. */
  bytes: number;
}

/** Guide 1.1, volumes: rows and bytes of each table of v6. The guide adds up tables of the same name in every schema. */
export const volumes: Check = {
  name: "volumes",
  asks: "how many rows and bytes v6's tables have, and whether another schema has tables of the same names",
  cost: "catalogue",
  async run({ db }) {
    // Else a role whose rows policies hide is told that there are none.
    await db.query("SET LOCAL row_security = off");
    const found = await rows<Sized>(
      db,
      `SELECT n.nspname AS schema, c.relname AS name,
         coalesce((SELECT pg_catalog.sum(greatest(l.reltuples, 0)) FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid
           WHERE c.relkind = 'p' AND t.isleaf), c.reltuples)::float8 AS about,
         coalesce((SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) t WHERE c.relkind = 'p'),
           pg_catalog.pg_total_relation_size(c.oid))::float8 AS bytes
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
         AND pg_catalog.lower(c.relname) IN (SELECT pg_catalog.split_part(w, '.', 2) FROM unnest($1::text[]) w)
         AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_temp|pg_toast|guardian_)'
       ORDER BY 1, 2`,
      [v6Tables],
    );
    const own = found.filter(({ schema, name }) => v6Tables.includes(`${schema}.${name}`));
    if (own.length === 0)
      return couldNotRun(
        "this database has no table of v6's",
        "check host, port and database name: guardian:database, PGHOST, PGPORT, PGDATABASE",
      );
    const others = found.filter((one) => !own.includes(one));
    const lines: string[] = [];
    let [total, bytes] = [0, 0];
    for (const table of own) {
      const name = `${sqlName(table.schema)}.${sqlName(table.name)}`;
      // A table that was never analysed has no figure; what little there can be is told by its size.
      const small = table.about >= 0 ? table.about <= countUpTo : table.bytes < 64 * 1024 * 1024;
      const counted = small
        ? Number((await rows<{ n: string }>(db, `SELECT count(*) AS n FROM ${name}`))[0]?.n ?? 0)
        : Math.max(table.about, 0);
      total += counted;
      bytes += table.bytes;
      lines.push(`${name}: ${small ? "" : "about "}${counted.toLocaleString("en")} rows, ${mega(table.bytes)} MB`);
    }
    const doubles = others.map(({ schema, name }) => `${sqlName(schema)}.${sqlName(name)}`);
    return {
      verdict: doubles.length > 0 ? "warned" : "passed",
      evidence: [
        ...lines,
        ...some(doubles).map((name) => `${name} is called like a table of v6 and is none: it is left alone`),
      ],
      figures: { rows: total, bytes },
      ...(doubles.length > 0
        ? { mend: ["see that the application does not mean these: search_path names public first"] }
        : {}),
    };
  },
};

const mega = (bytes: number): string => (bytes / 1e6).toFixed(1);
