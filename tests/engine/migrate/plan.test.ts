import { expect } from "chai";
import type { Client } from "pg";
import { moveStatement, openBatch } from "../../../engine/migrate/batch";
import { loadMigration } from "../../../engine/migrate/definition";
import { mapped, readConstants, type Mapped } from "../../../engine/migrate/source";
import { quoteName, type Queryable } from "../../../engine/sql";
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

/** How a plan reads each relation: `bound` by an index from one end of the range to the other, or what it does instead. */
function reads(plan: Plan): Record<string, string> {
  const scans = flat(plan).filter((node) => node["Relation Name"] && node["Node Type"] !== "ModifyTable");
  return Object.fromEntries(
    scans.map((node) => {
      const conditions = flat(node).map((one) => one["Index Cond"] ?? "");
      const bound = conditions.some((text) => / >= /.test(text) && / <= /.test(text));
      return [node["Relation Name"] ?? "", bound ? "bound" : node["Node Type"]];
    }),
  );
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
    17,
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

async function explain(data: Data, text: string, ends: readonly string[]): Promise<Record<string, string>> {
  return reads(await planOf(data, text, ends));
}

describe("the plan of a batch", function () {
  this.timeout(120_000);

  const expected = {
    consents: { users: "bound", patient_consents: "bound" },
    preferences: { users: "bound", user_profiles: "bound", user_preferences: "bound" },
  };
  for (const [name, bound] of Object.entries(expected)) {
    it(`${name}: walks the range by an index in every relation, in a table that is new and in one that fills`, () =>
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
      const without = (part: string): string => {
        const sql = data.it.source.sql.replace(part, "true");
        expect(sql).not.to.equal(data.it.source.sql);
        return moveStatement({ ...data.it, source: { ...data.it.source, sql } });
      };
      const open = await explain(data, without("in_range(p.user_id)"), ends);
      expect(open).to.include({ users: "bound", user_preferences: "bound", user_profiles: "Seq Scan" });
      expect(await explain(data, without("in_range(u.id)"), ends)).not.to.include({ users: "bound" });
    }));

  it("loops over no range for each row, where statistics know nothing of the keys in it", () =>
    withUsers("consents", async (data) => {
      const { admin, it, keys } = data;
      await admin.query("ALTER TABLE auth.users ALTER id SET STATISTICS 1; ANALYZE auth.users");
      const [from, to] = (await keys(20_001, 25_000)) as [string, string];
      const joins = async (): Promise<string[]> => {
        const nodes = flat(await planOf(data, moveStatement(it), [from, to])).map((node) => node["Node Type"]);
        return nodes.filter((node) => /Join|Loop/.test(node));
      };
      expect(await joins(), "what it would do").to.deep.equal(["Nested Loop"]);
      await admin.query("BEGIN");
      const { rows } = await admin.query<{ id: string }>(
        `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch)
         SELECT 'u', 'DataMigration', id, 1, 'running', 0 FROM guardian_migration.ledger RETURNING id`,
      );
      const run = { it, urn: "u", stepId: rows[0]!.id, parameters: data.values, gate: () => Promise.resolve() };
      const chunk = { firstPlace: 1, lastPlace: 5, from: [from], to: [to], keys: 5000 };
      await openBatch(admin as unknown as Queryable, run, "0", chunk);
      const within = await joins();
      await admin.query("ROLLBACK");
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
