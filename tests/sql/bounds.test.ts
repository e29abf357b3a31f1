import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import type { Client } from "pg";
import { clientFolder } from "../../scripts/pg-clients";
import { readBounds, type Bounds } from "../../scripts/docs/bounds";
import { room } from "../../scripts/docs/bounds-page";
import { long } from "../support/long";
import { major, withEmpty, type Login, type V6 } from "../support/postgres";
import { expectRefusal, refusal, value, withModules } from "../support/modules";
import { entries, fixed, padded, refusedBefore, sized, writers } from "./bounds_writers";
import { archives, listed, modules } from "./every_module";

const run = promisify(execFile);

async function withBounds(test: (client: Client, bounds: Bounds, db: V6) => Promise<void>): Promise<void> {
  await withModules(modules, async (client, db) => {
    await test(client, await readBounds(await db.connect("admin"), listed("table")), db);
  });
}

/** A hash of every archived table's rows, whatever their order. */
async function content(client: Client): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { table } of archives())
    found[table] = await value(
      client,
      `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM ${table} t`,
    );
  return found;
}

const env = ({ host, port, user, password, database }: Login): NodeJS.ProcessEnv => ({
  ...process.env,
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGDATABASE: database,
});

describe("how much may be written", function () {
  this.timeout(120_000);

  long(
    "16-9: every column that a user can write is tried at its bound and above it, and what was taken survives dump and restore",
    () =>
      withBounds(async (client, bounds, db) => {
        const write = await writers(client);
        const names = bounds.users.map(({ table, column }) => `${table.replace("public.", "")}.${column}`);
        expect(
          [...Object.keys(write), ...fixed].sort(),
          "a column without a case, or a case without a column",
        ).to.deep.equal(names.sort());
        for (const bound of bounds.users) {
          const name = `${bound.table.replace("public.", "")}.${bound.column}`;
          const attempt = write[name];
          if (!attempt) continue;
          const limited = (bound.bytes ?? bound.characters ?? bound.entries) !== undefined;
          if (limited && bound.column !== "language" && !refusedBefore.includes(name)) {
            for (const over of [-1, 0])
              await attempt(sized(name, bound, over)).catch((err: unknown) => {
                throw new Error(`${name} is refused at ${over} of its bound`, { cause: err });
              });
            await expectRefusal("23514", attempt(sized(name, bound, 1)), `${name} above its bound`);
          }
          // Whatever bounds it, a list or a pattern: no text of a megabyte, no hundred thousand entries.
          const much = /\[\]$/.test(bound.type)
            ? entries(100_000, 1_000_000)
            : bound.type === "jsonb"
              ? padded({}, 1_000_000)
              : "x".repeat(1_000_000);
          expect((await refusal(attempt(much))).code, `${name}, a megabyte`).to.match(/^(23514|22023)$/);
        }
        // Half of them by one byte, and counted: of a hundred thousand empty entries each is small.
        const types = write["notification_delivery_channels.notification_types_enabled"]!;
        await expectRefusal("23514", types(Array.from({ length: 101 }, () => "")));

        const before = await content(client);
        expect(Object.values(before).filter((hash) => !hash.startsWith("0 ")).length).to.be.above(8);
        const folder = mkdtempSync(join(tmpdir(), "guardian-bounds-"));
        try {
          const [bin, file] = [await clientFolder(major), join(folder, "dump")];
          await run(join(bin, "pg_dump"), ["--format=custom", `--file=${file}`], { env: env(db.admin) });
          await withEmpty(async (other) => {
            await run(join(bin, "pg_restore"), ["--exit-on-error", `--dbname=${other.name}`, file], {
              env: env(other.admin),
            });
            expect(await content(await other.connect("admin"))).to.deep.equal(before);
          });
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      }),
  );

  it("16-9: every bound is one that was chosen: none is missing, each is explained, each CHECK is immutable and of its row alone", () =>
    withBounds(async (client, { users, server }) => {
      const open = users.filter(
        (one) =>
          !one.bytes && !one.characters && !one.entries && !one.words && !one.pattern && one.checkedBy === undefined,
      );
      expect(open.map(({ table, column }) => `${table}.${column}`)).to.deep.equal([]);
      // By counting entries alone nothing is said of how long one is.
      const counted = [...users, ...server].filter((one) => one.entries !== undefined && !one.bytes && !one.words);
      expect(counted.map(({ table, column }) => `${table}.${column}`)).to.deep.equal([
        "public.document_processing_pipelines.stages",
      ]);
      const sizes = [...users, ...server].filter((one) => (one.bytes ?? one.characters ?? one.entries) !== undefined);
      expect(
        [...new Set(sizes.map(({ table, column }) => `${table.replace("public.", "")}.${column}`))].sort(),
      ).to.deep.equal(Object.keys(room).sort());
      const [bad] = await Promise.all([
        client.query<{ name: string }>(
          `SELECT DISTINCT k.conname AS name FROM pg_constraint k JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
           LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
           WHERE k.contype = 'c' AND k.conname ~ '_bound$' AND (p.provolatile <> 'i'
             OR d.refclassid = 'pg_class'::regclass AND d.refobjid <> k.conrelid)`,
        ),
      ]);
      expect(bad.rows).to.deep.equal([]);
    }));

  it("16-9: every CHECK that bounds a value takes it at its bound and refuses it one byte above, the server side's too", () =>
    withBounds(async (client) => {
      const { rows } = await client.query<{
        name: string;
        check: string;
        column: string;
        type: string;
        bytes: number | null;
        n: number | null;
      }>(
        `SELECT k.conname AS name, pg_get_expr(k.conbin, k.conrelid) AS check, a.attname AS column, format_type(a.atttypid, NULL) AS type,
                substring(pg_get_expr(k.conbin, k.conrelid) FROM 'octet_length.* <= (\\d+)')::int AS bytes,
                substring(pg_get_expr(k.conbin, k.conrelid) FROM 'cardinality[^<]* <= (\\d+)')::int AS n
         FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
         WHERE k.contype = 'c' AND k.conname ~ '_bound$' AND cardinality(k.conkey) = 1 ORDER BY 1`,
      );
      expect(rows.length).to.be.above(20);
      for (const { name, check, column, type, bytes, n } of rows) {
        const of: Record<string, string> = {
          text: "repeat('x', $1)",
          bytea: "convert_to(repeat('x', $1), 'UTF8')",
          jsonb: `('"' || repeat('x', $1 - 2) || '"')::jsonb`,
          "text[]":
            bytes === null
              ? "array_fill('x'::text, ARRAY[$1])"
              : `array_fill('x'::text, ARRAY[${(n ?? 1) - 1}]) || repeat('x', $1 - 2 * ${n ?? 1})`,
        };
        const takes = (size: number): Promise<boolean> =>
          value(client, `SELECT ${check} FROM (SELECT ${of[type]!.replaceAll("$1", String(size))} AS "${column}") v`);
        const most = bytes ?? n ?? 0;
        // A large one takes long to try: it says nothing but this.
        if (most > 1 << 20) {
          expect(check, name).to.match(new RegExp(`^\\(octet_length\\(\\(?${column}\\)?(::text)?\\) <= ${most}\\)$`));
          continue;
        }
        expect([await takes(most - 1), await takes(most), await takes(most + 1)], name).to.deep.equal([
          true,
          true,
          false,
        ]);
        if (bytes !== null && n !== null)
          expect(
            await value(client, `SELECT ${check} FROM (SELECT array_fill(''::text, ARRAY[${n + 1}]) AS "${column}") v`),
            name,
          ).to.equal(false);
      }
    }));
});
