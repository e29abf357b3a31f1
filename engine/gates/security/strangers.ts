import { randomUUID } from "node:crypto";
import { escapeLiteral } from "pg";
import { sqlstateOf } from "../../base/errors";
import { quoteName, rows, type Queryable } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { apiRoles, become, notAMember, type ApiRole } from "../api";
import { isPassing, notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";
import { patienceMs } from "../in-time";
import { noAnswer, whyNot } from "./no-answer";
import { ownerships } from "./ownership";

/**
 * Row security, proven by asking: what the catalogue says of policies is one thing, what they let through another. A
 * logged-in account that does not exist, and nobody at all, see no row of a table whose rows are somebody's.
 */
export const strangers: Check = {
  name: "strangers",
  asks: "whether a stranger, logged in or not, sees a row of any v7 table whose rows are a person's",
  cost: "queries",
  async run({ db }) {
    const standing = await standingTables(db);
    if (standing.length === 0) return notApplicable("no module is applied");
    const lacking = await notAMember(db);
    if (lacking) return lacking;
    const tables = await rows<{ name: string; to: ApiRole[] }>(
      db,
      `SELECT n.nspname || '.' || c.relname AS name, ARRAY(SELECT r FROM unnest($2::text[]) r WHERE pg_catalog.has_any_column_privilege(r, c.oid, 'SELECT')) AS to
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname || '.' || c.relname = ANY ($1) AND (n.nspname || '.' || c.relname = ANY ($3) OR EXISTS (
         SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confdeltype = 'c' AND k.confrelid = 'auth.users'::regclass))
       ORDER BY 1`,
      [standing, apiRoles, Object.keys(ownerships)],
    );
    const [seen, unanswered]: [string[], string[]] = [[], []];
    let [asked, again] = [0, false];
    // Of a large table that no index answers nothing is said.
    await db.query(`SET LOCAL statement_timeout = ${patienceMs}`);
    await db.query("SAVEPOINT asked");
    const empty = await withoutRows(
      db,
      tables.map(({ name }) => name),
    );
    for (const { name, to } of tables)
      for (const role of to) {
        asked++;
        let stranger = false;
        try {
          await become(db, role, role === "anon" ? undefined : randomUUID());
          stranger = true;
          const found = await rows<{ some: boolean }>(db, `SELECT EXISTS (SELECT FROM ${quoteName(name)}) AS some`);
          if (found[0]?.some) seen.push(`${role} who is a stranger sees rows of ${quoteName(name)}`);
        } catch (err) {
          const state = sqlstateOf(err);
          // Who lacks a right that a policy or the table wants is shown nothing.
          if (!stranger || state !== "42501") {
            again ||= isPassing(err);
            unanswered.push(`${quoteName(name)} as ${role} (${whyNot(state)})`);
          }
        }
        // Takes the role back too.
        await db.query("ROLLBACK TO SAVEPOINT asked");
      }
    const figures = { asked, seen: seen.length, unanswered: unanswered.length, empty: empty.length };
    if (seen.length > 0)
      return {
        verdict: "failed",
        evidence: some(seen),
        figures,
        ...faultsNamed("strangers", seen),
        mend: [
          "take the policy or the right back that lets them through: the checks definitions and row-security name it",
        ],
      };
    if (unanswered.length > 0) return { ...noAnswer(unanswered, again), figures };
    const none = empty.length === 0 ? [] : [`no row is there to be seen of ${some(empty).join(", ")}`];
    return { verdict: "passed", evidence: [`${asked} tables and roles asked, no row seen`, ...none], figures };
  },
  foreseen: ({ db }) => notAMember(db),
};

/** @returns tables of which it proves nothing that no row is seen; none where this role is not shown all rows, or not in time */
async function withoutRows(db: Queryable, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const each = names.map(
    (name) => `SELECT ${escapeLiteral(name)} AS name WHERE NOT EXISTS (SELECT FROM ${quoteName(name)})`,
  );
  await db.query("SET LOCAL row_security = off");
  const found = await rows<{ name: string }>(db, each.join(" UNION ALL ")).catch(() => []);
  await db.query("ROLLBACK TO SAVEPOINT asked");
  return found.map(({ name }) => name);
}
