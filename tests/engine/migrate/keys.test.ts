import { expect } from "chai";
import type { Migration } from "../../../engine/migrate/definition/migration";
import { planMove } from "../../../engine/migrate/preview";
import { column, moduleOf, refusalOf } from "../module/harness";
import { assumed, stopped, withOnline, type Online } from "./harness";

/** A migration of the test's own: public.source to public.target, by a key of some columns. */
function migrationOf(key: string[]): Migration {
  const bound = key.map((column) => `s.${column}`).join(", ");
  const sql = `SELECT ${key.join(", ")}, s.body FROM public.source s WHERE in_range(${bound}) AND $1::jsonb IS NOT NULL`;
  return {
    ...{ name: "own", title: "A test's.", module: "900_target", from: "public.source", key },
    ...{ target: "public.target", targetKey: key, columns: [...key, "body"], match: key },
    ...{ batchMs: 300, workers: 1, slowdown: 0.1, meaning: "m" },
    sources: [
      {
        ...{ file: "own.sql", sql, needs: undefined, constants: undefined, counts: [], leftOut: undefined },
        follows: [{ table: "public.source", key, columns: ["body"], optional: [] }],
      },
    ],
  };
}

/** Target, as a module makes it, and source, as v6 has it. */
async function make(
  online: Online,
  columns: string,
  key: string[],
  { targets = columns, marked = "updated_at timestamptz NOT NULL DEFAULT now()" } = {},
): Promise<void> {
  const table = `(${targets}, body text, ${marked}, PRIMARY KEY (${key.join(", ")}))`;
  const up = `CREATE TABLE public.target ${table};
    CREATE TRIGGER target_updated_at BEFORE UPDATE ON public.target FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();`;
  const yaml = `objects:\n  table: [public.target]\n  trigger: [target_updated_at on public.target]\n`;
  await online.engine.apply(await moduleOf("900_target", { yaml, up, down: "DROP TABLE public.target;" }));
  await online.client.query(`CREATE TABLE public.source (${columns}, body text, PRIMARY KEY (${key.join(", ")}))`);
}

interface Case {
  it: string;
  columns: string;
  key: string[];
  /** SELECTs of about 2500 keys, and of those that come later: below, between and above them. */
  rows: string;
  later: string;
  /** Which of them v6 changes, and which it deletes, as conditions. */
  changed: string;
  deleted: string;
  /** Its own key changes: from and to. */
  renamed: string;
}

const cases: Case[] = [
  {
    it: "of an integer and a text",
    columns: "region int NOT NULL, code text NOT NULL",
    key: ["region", "code"],
    rows: "SELECT r, repeat('x', r % 3) || n || 'ä' FROM generate_series(-3, 9) r, generate_series(1, 200) n",
    later: `VALUES (-2147483648, ''), (-3, ''), (0, '5'), (3, ''), (9, 'zzz'), (2147483647, 'a''b,{"c"}\\d')`,
    changed: "code LIKE '%7ä'",
    deleted: "code LIKE '%8ä' OR region = 4",
    renamed: "UPDATE public.source SET region = region + 100 WHERE region = 5 AND code LIKE '%1ä'",
  },
  {
    it: "of a text that is not sorted by its bytes",
    columns: `code text COLLATE "und-x-icu" NOT NULL`,
    key: ["code"],
    rows: "SELECT (ARRAY['a', 'B', 'ä', 'Z', 'z', 'É'])[1 + n % 6] || n FROM generate_series(1, 2500) n",
    later: `VALUES (''), ('_'), ('b17'), ('m''m'), ('{x,"y"}'), ('ω'), ('中'), (E'a\\tb\\\\')`,
    changed: "code LIKE '%7'",
    deleted: "code LIKE '%8' OR code LIKE 'ä1%'",
    renamed: "UPDATE public.source SET code = 'É' || code WHERE code LIKE 'B%1'",
  },
  {
    it: "of a bigint, to both ends of what there is",
    columns: "id bigint NOT NULL",
    key: ["id"],
    rows: `SELECT n * 1000003::bigint - 1000000000 FROM generate_series(1, 2500) n`,
    later: "VALUES (-9223372036854775808), (-5), (5), (1000), (9223372036854775807)",
    changed: "id % 10 = 7",
    deleted: "id % 10 = 8 OR id BETWEEN 0 AND 90000000",
    renamed: "UPDATE public.source SET id = -id - 1 WHERE id % 10 = 1",
  },
];

const count = "SELECT count(*)::int FROM public.target";

describe("a key", function () {
  this.timeout(60_000);

  for (const one of cases) {
    it(`${one.it}: every row comes, follows, and goes`, () =>
      withOnline(migrationOf(one.key), 300, async (online) => {
        const { client, engine } = online;
        await make(online, one.columns, one.key);
        const insert = `INSERT INTO public.source (${one.key.join(", ")})`;
        await client.query(`${insert} ${one.rows}`);
        // Stopped when all ranges are moved: what v6 does then is in gaps, at both ends, and in what is there.
        const stop = new AbortController();
        engine.onProgress = ({ phase }) => {
          if (phase === "prove") stop.abort();
        };
        await refusalOf(online.move({}, { signal: stop.signal }));
        const [first] = await column<number>(client, count);
        expect(first).to.equal((await column<number>(client, "SELECT count(*)::int FROM public.source"))[0]);
        expect(await column(client, "SELECT count(*)::int FROM guardian_migration.range")).to.deep.equal([3]);
        await client.query(`${insert} ${one.later}`);
        for (const text of [
          `UPDATE public.source SET body = 'new' WHERE ${one.changed}`,
          `DELETE FROM public.source WHERE ${one.deleted}`,
          one.renamed,
        ]) {
          expect((await client.query(text)).rowCount, text).to.be.greaterThan(10);
        }
        const moved = await online.move();
        expect(await online.differing()).to.equal(0);
        expect(await online.traces()).to.equal(0);
        expect(await column(client, count)).to.deep.equal([Number(moved.written)]);
        // One is somebody's own now.
        await client.query("UPDATE public.target SET body = 'mine' WHERE ctid = (SELECT max(ctid) FROM public.target)");
        expect(await online.back()).to.deep.equal({ removed: moved.written - 1n, kept: 1n });
        expect(await column(client, "SELECT body FROM public.target")).to.deep.equal(["mine"]);
      }));
  }

  it("is written in one way, whatever settings v6's session has", () =>
    withOnline(migrationOf(["at", "span", "code", "size"]), 300, async (online) => {
      const { client } = online;
      const key = ["at", "span", "code", "size"];
      await make(online, "at timestamptz, span interval, code bytea, size double precision", key);
      await client.query(`ALTER TABLE public.target ADD CONSTRAINT good CHECK (body <> 'bad');
        INSERT INTO public.source SELECT timestamptz '2024-01-31 00:00:00+00' + n * interval '1 minute',
          n * interval '1 hour 1 second', decode(to_hex(n + 4096), 'hex'), n / 3.0::double precision, 'x' FROM generate_series(1, 2500) n`);
      await stopped(online);
      const hostile = {
        ...{ DateStyle: "SQL, DMY", IntervalStyle: "postgres_verbose", TimeZone: "Europe/Berlin" },
        ...{ bytea_output: "escape", extra_float_digits: "-5" },
      };
      for (const [name, value] of Object.entries(hostile)) await client.query(`SET ${name} = '${value}'`);
      const nth = (n: number): string => `WHERE at = (SELECT at FROM public.source ORDER BY at LIMIT 1 OFFSET ${n})`;
      await client.query(`UPDATE public.source SET body = 'bad' ${nth(1300)}`);
      await client.query(`UPDATE public.source SET body = 'new' ${nth(1400)}`);
      await client.query(`DELETE FROM public.source ${nth(1500)}`);
      const one = ["2024-01-31 21:41:00+00", "1301:21:41", "\\x1515", "433.6666666666667"];
      const keys = "SELECT to_json(key) FROM guardian_migration.change ORDER BY id LIMIT 1";
      expect(await column(online.admin, keys)).to.deep.equal([one]);
      expect(await online.move()).to.deep.include({ rejected: 1n });
      expect(await column(online.admin, "SELECT to_json(key) FROM guardian_migration.reject")).to.deep.equal([one]);
      expect(await column(client, "SELECT count(*)::int FROM public.target WHERE body = 'new'")).to.deep.equal([1]);
      expect(
        await column(
          client,
          `SELECT count(*)::int FROM public.target WHERE body = 'x' AND at NOT IN (SELECT at FROM public.source)`,
        ),
      ).to.deep.equal([0]);
    }));

  const refusals: [string, string, RegExp][] = [
    ["is not there", "ALTER TABLE public.source RENAME id TO other", /not unique and not null/],
    [
      "may be null",
      "ALTER TABLE public.source DROP CONSTRAINT source_pkey, ALTER id DROP NOT NULL, ADD UNIQUE (id)",
      /not unique and not null/,
    ],
    [
      "is not unique",
      "ALTER TABLE public.source DROP CONSTRAINT source_pkey, ALTER id SET NOT NULL",
      /not unique and not null/,
    ],
    [
      "is unique for a part of the rows only",
      "ALTER TABLE public.source DROP CONSTRAINT source_pkey; CREATE UNIQUE INDEX ON public.source (id) WHERE body IS NULL",
      /not unique and not null/,
    ],
  ];
  for (const [what, change, error] of refusals) {
    it(`that ${what} is refused, and nothing is left on v6`, () =>
      withOnline(migrationOf(["id"]), 300, async (online) => {
        await make(online, "id bigint", ["id"]);
        await online.client.query(change);
        const said = await refusalOf(online.move());
        expect(said.what).to.match(error);
        expect(said.where).to.equal("public.source (id)");
        expect(await online.traces()).to.equal(0);
      }));
  }

  it("that the target sorts in another way is refused: a range would hold other keys there", () =>
    withOnline(migrationOf(["code"]), 300, async (online) => {
      await make(online, `code text COLLATE "und-x-icu"`, ["code"], { targets: `code text COLLATE "C"` });
      const said = await refusalOf(online.move());
      expect(said.what).to.equal("data migration own walks a key that its target sorts by another collation");
      expect(said.where).to.equal("public.source (code), public.target (code)");
    }));

  for (const [type, more] of [
    ["public.citext", ""],
    ["public.code", "CREATE DOMAIN public.code AS public.citext; CREATE DOMAIN public.codes AS public.code;"],
    ["public.codes", "CREATE DOMAIN public.code AS public.citext; CREATE DOMAIN public.codes AS public.code;"],
  ] as const) {
    it(`of type ${type}, which PostgreSQL's own operators do not compare, is refused with column and type`, () =>
      withOnline(migrationOf(["id", "code"]), 300, async (online) => {
        await online.admin.query(`CREATE EXTENSION citext SCHEMA public; ${more}`);
        await make(online, `id int, code ${type}`, ["id", "code"]);
        const said = await refusalOf(online.move());
        expect(said.what).to.match(
          /^data migration own walks a key whose type is compared by operators of an extension/,
        );
        expect(said.where).to.equal(`public.source (code ${type})`);
        const preview = online.engine.host.read((db) => planMove(db, online.migration, assumed));
        expect((await refusalOf(preview)).what).to.equal(said.what);
        expect(await online.traces()).to.equal(0);
      }));
  }

  it("that may be personal is not told where rows differ", () =>
    withOnline(migrationOf(["id"]), 300, async (online) => {
      await make(online, "id text", ["id"]);
      await online.client.query(
        "INSERT INTO public.source SELECT n || '@example.org', 'x' FROM generate_series(1, 9) n",
      );
      await stopped(online);
      await online.admin.query(`ALTER TABLE public.target DISABLE TRIGGER USER;
        UPDATE public.target SET body = 'other' WHERE id = '7@example.org';
        ALTER TABLE public.target ENABLE TRIGGER USER`);
      const said = await refusalOf(online.move());
      expect(said).to.include({ code: "rows-differ", where: "a key that may be personal is not told (body)" });
      const detail =
        "SELECT detail -> 'error' FROM guardian_migration.step WHERE detail ? 'error' ORDER BY id DESC LIMIT 1";
      const kept = JSON.stringify([await column(online.admin, detail), online.engine.told]);
      expect(kept).to.contain("rows of public.target differ").and.not.contain("example.org");
    }));

  const unmarked: [string, string, string, RegExp][] = [
    ["that is not there", "made_at timestamptz", "", /^public.target has no column updated_at timestamptz NOT NULL/],
    [
      "of less than microseconds",
      "updated_at timestamptz(3) NOT NULL DEFAULT now()",
      "",
      /^public.target has no column/,
    ],
    [
      "that nothing changes with the row",
      "updated_at timestamptz NOT NULL DEFAULT now()",
      "ALTER TABLE public.target DISABLE TRIGGER target_updated_at",
      /^no trigger of public.target changes updated_at with a row/,
    ],
    [
      "by the clock",
      "updated_at timestamptz NOT NULL DEFAULT clock_timestamp()",
      "",
      /^rows that data migration own writes do not get their transaction's time/,
    ],
  ];
  for (const [what, marked, more, error] of unmarked) {
    it(`a target with an updated_at ${what} is refused: rows could not be told from what somebody wrote`, () =>
      withOnline(migrationOf(["id"]), 300, async (online) => {
        await make(online, "id bigint", ["id"], { marked });
        await online.client.query(`INSERT INTO public.source SELECT n, 'x' FROM generate_series(1, 9) n; ${more}`);
        const said = await refusalOf(online.move());
        expect(said).to.include({ code: "target-unfit", where: "public.target (updated_at)" });
        expect(said.what).to.match(error);
        expect(await column(online.client, "SELECT count(*)::int FROM public.target")).to.deep.equal([0]);
      }));
  }

  it("of an enum, a domain over varchar and a network is PostgreSQL's to compare", () =>
    withOnline(migrationOf(["mood", "code", "net"]), 300, async (online) => {
      const { admin, client } = online;
      await admin.query("CREATE TYPE public.mood AS ENUM ('z', 'a'); CREATE DOMAIN public.code AS varchar(9);");
      const key = ["mood", "code", "net"];
      await make(online, "mood public.mood, code public.code, net cidr", key);
      await client.query("INSERT INTO public.source SELECT 'z', n, '10.0.0.0/8', 'x' FROM generate_series(1, 9) n");
      expect(await online.move()).to.deep.include({ written: 9n });
    }));
});
