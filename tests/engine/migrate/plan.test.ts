import { expect } from "chai";
import type { Client } from "pg";
import { moveStatement, openBatch } from "../../../engine/migrate/rows/batch";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import { mapped, readConstants, type Mapped } from "../../../engine/migrate/definition/source";
import { quoteName, type Queryable } from "../../../engine/base/sql";
import { long } from "../../support/long";
import { withEngine } from "../module/harness";

const users = 50_000;
const modules = ["000_audit_log", "004_enhanced_consent", "005_user_preferences"];

/** A node of a plan as EXPLAIN (FORMAT JSON) has it (PostgreSQL manual, 14.1). */
interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Cond"?: string;
  Plans?: Plan[];
}

const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];

/**
 * How a plan reads each relation, one word a scan: `bound` by an index from one end of the range to the other, or what it
 * does instead. Every scan counts: a relation that is read twice may be open the second time.
 */
function reads(plan: Plan, [from, to]: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const node of flat(plan)) {
    const relation = node["Relation Name"];
    if (relation === undefined || node["Node Type"] === "ModifyTable") continue;
    const bound = conditions(node).some((text) => text.includes(`>= '${from}'`) && text.includes(`<= '${to}'`));
    (found[relation] ??= []).push(bound ? "bound" : node["Node Type"]);
  }
  return Object.fromEntries(Object.entries(found).map(([relation, words]) => [relation, words.sort()]));
}

/** A scan's own conditions on indexes; what hangs below it may also be a sub-select, whose conditions are not its. */
function conditions(node: Plan): string[] {
  const below = (node.Plans ?? []).filter((one) => /^Bitmap(And| Index Scan)$/.test(one["Node Type"]));
  return [node["Index Cond"] ?? "", ...below.flatMap(conditions)];
}

interface Data {
  admin: Client;
  it: Mapped;
  values: string;
  /** Keys of the n-th users in their order. */
  keys: (...places: number[]) => Promise<string[]>;
}

function withUsers(name: string, test: (data: Data) => Promise<void>): Promise<void> {
  return withEngine(
    async (engine, db) => {
      await engine.applyReal(...modules);
      const admin = await db.connect("admin");
      // As a worker's session has it; the triggers are not what is planned.
      await admin.query(
        `SET search_path = pg_catalog, pg_temp; SET row_security = off; SET jit = off;
         SET session_replication_role = replica`,
      );
      const it = await mapped(admin as unknown as Queryable, await loadMigration(name));
      const constants = await readConstants(admin as unknown as Queryable, it.source, new Date().toISOString());
      const values = JSON.stringify({ mode: "assumed", legalBasis: "consent", statement: "s", ...constants });
      const keys = async (...places: number[]): Promise<string[]> => {
        const text = `SELECT id::text FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM auth.users) u WHERE n = ANY ($1) ORDER BY id`;
        return (await admin.query<{ id: string }>(text, [places])).rows.map((row) => row.id);
      };
      await test({ admin, it, values, keys });
    },
    { users },
  );
}

async function planOf({ admin, values }: Data, text: string, ends: readonly string[]): Promise<Plan> {
  const query = `EXPLAIN (FORMAT JSON) ${text}`;
  const { rows } = await admin.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(query, [values, ...ends]);
  return rows[0]!["QUERY PLAN"][0].Plan;
}

/** The plan that a batch gets: in a transaction with the settings that openBatch makes for it. */
async function planInBatch(data: Data, text: string, [from, to]: readonly string[]): Promise<Plan> {
  const { admin, it } = data;
  const ends: [string, string] = [from ?? "", to ?? ""];
  await admin.query("BEGIN");
  const { rows } = await admin.query<{ id: string }>(
    `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch)
     SELECT 'u', 'DataMigration', id, 1, 'running', 0 FROM guardian_migration.ledger RETURNING id`,
  );
  const run = { it, urn: "u", stepId: rows[0]!.id };
  const chunk = { firstPlace: 1, lastPlace: 5, from: [ends[0]], to: [ends[1]], keys: 5000 };
  await openBatch(admin as unknown as Queryable, run, chunk);
  const plan = await planOf(data, text, ends);
  await admin.query("ROLLBACK");
  return plan;
}

async function explain(data: Data, text: string, ends: readonly string[]): Promise<Record<string, string[]>> {
  return reads(await planInBatch(data, text, ends), ends);
}

/** The statement of a migration whose source was changed. */
function changed(it: Mapped, change: (sql: string) => string): string {
  const sql = change(it.source.sql);
  expect(sql).not.to.equal(it.source.sql);
  return moveStatement({ ...it, source: { ...it.source, sql } });
}

describe("the plan of a batch", function () {
  this.timeout(120_000);

  const expected = {
    consents: { users: ["bound"], patient_consents: ["bound"] },
    preferences: { users: ["bound"], user_profiles: ["bound"], user_preferences: ["bound"] },
  };
  for (const [name, bound] of Object.entries(expected)) {
    const test = name === "preferences" ? it : long;
    test(`${name}: walks the range by an index in every relation, in a table that is new and in one that fills`, () =>
      withUsers(name, async (data) => {
        const { admin, it, values, keys } = data;
        const text = moveStatement(it);
        expect(await explain(data, text, await keys(20_001, 25_000)), "new").to.deep.equal(bound);
        await admin.query(text, [values, ...(await keys(1, 20_000))]);
        expect(await explain(data, text, await keys(20_001, 25_000)), "as it fills").to.deep.equal(bound);
        await admin.query(`ANALYZE ${quoteName(it.target)}`);
        expect(await explain(data, text, await keys(20_001, 25_000)), "analysed").to.deep.equal(bound);
      }));
  }

  it("is found out where a joined relation is left open, or the source is", () =>
    withUsers("preferences", async (data) => {
      const ends = await data.keys(20_001, 25_000);
      const without = (part: string): string => changed(data.it, (sql) => sql.replace(part, "true"));
      const open = await explain(data, without("in_range(p.user_id)"), ends);
      expect(open).to.deep.equal({ ...expected.preferences, user_profiles: ["Seq Scan"] });
      expect((await explain(data, without("in_range(u.id)"), ends))["users"]).not.to.include("bound");
    }));

  it("is found out where a relation is read twice, and one of the two is open", () =>
    withUsers("consents", async (data) => {
      const ends = await data.keys(20_001, 25_000);
      // A sub-select of its own, one that hangs below the bound scan, and one that the bound scan hangs beside.
      for (const more of [
        "AND (SELECT count(*) FROM auth.users v WHERE v.created_at IS NOT NULL) > 0",
        "AND (SELECT count(*) FROM auth.users v WHERE v.created_at < u.created_at) >= 0",
        "AND u.created_at IN (SELECT v.created_at FROM auth.users v)",
      ]) {
        const found = await explain(
          data,
          changed(data.it, (sql) => `${sql}\n${more}`),
          ends,
        );
        expect(found, more).to.deep.equal({ ...expected.consents, users: ["Seq Scan", "bound"] });
      }
    }));

  it("loops over no range for each row, where statistics know nothing of the keys in it", () =>
    withUsers("consents", async (data) => {
      const { admin, it, keys } = data;
      await admin.query("ALTER TABLE auth.users ALTER id SET STATISTICS 1; ANALYZE auth.users");
      const ends = await keys(20_001, 25_000);
      const joins = (plan: Plan): string[] =>
        flat(plan)
          .map((node) => node["Node Type"])
          .filter((type) => /Join|Loop/.test(type));
      const text = moveStatement(it);
      expect(joins(await planOf(data, text, ends)), "what it would do").to.deep.equal(["Nested Loop"]);
      const within = joins(await planInBatch(data, text, ends));
      expect(within).to.have.length(1);
      expect(within[0]).to.match(/^(Merge|Hash) Join$/);
    }));

  it("puts the rows down in the order of their keys, so that the target's index grows at its end", () =>
    withUsers("consents", async ({ admin, it, values, keys }) => {
      const turns = async (text: string, ends: string[]): Promise<number> => {
        await admin.query(text, [values, ...ends]);
        const { rows } = await admin.query<{ n: number; turns: number }>(
          `SELECT count(*)::int AS n, count(*) FILTER (WHERE patient_id < before)::int AS turns
           FROM (SELECT patient_id, lag(patient_id) OVER (ORDER BY ctid) AS before FROM public.patient_consents
                 WHERE patient_id BETWEEN $1 AND $2) c`,
          ends,
        );
        expect(rows[0]!.n).to.be.within(4_000, 5_000);
        return rows[0]!.turns;
      };
      expect(await turns(moveStatement(it), await keys(10_001, 15_000))).to.equal(0);
      const unordered = moveStatement(it).replace(/ORDER BY .*/, "");
      expect(await turns(unordered, await keys(20_001, 25_000)), "as the source is read").to.be.greaterThan(1000);
    }));
});
