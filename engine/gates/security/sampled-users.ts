import { escapeIdentifier } from "pg";
import { sqlstateOf } from "../../base/errors";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { become, notAMember } from "../api";
import { couldNotRun, notApplicable, some, type Check } from "../check";
import { ownerships, type Ownership } from "./ownership";
import { mayRead } from "./permitted";

/** Accounts at so many places of the key space, the same each time; and up to two that own rows of each table. */
const places = 8;
const most = 24;

/** So many rows of a table are enough to tell. */
const enough = 10_000;

/** How long one question may take, in milliseconds, and all of them together: one snapshot is held meanwhile. */
const patience = 2000;
const longestMs = 60_000;

interface Table extends Ownership {
  readonly name: string;
  /** Whether docs/permissions.md lets a user read it; else he is to see nothing. */
  readonly shown: boolean;
}

/**
 * Row security, proven by counts: each sampled account sees its own rows of each table, all of them, and nobody else's.
 * @param longest milliseconds that it asks for at most; tests have their own
 */
export const sampledUsersWithin = (longest: number): Check => ({
  name: "sampled-users",
  asks: "whether sampled users, each asked as the API asks, see as many rows of every v7 table as belong to them, and none of another's",
  cost: "queries",
  worse: ["wrong"],
  named: true,
  async run({ db, signal }) {
    const standing = await standingTables(db);
    if (standing.length === 0) return notApplicable("no module is applied");
    const lacking = await notAMember(db);
    if (lacking) return lacking;
    await db.query(`SET LOCAL statement_timeout = ${patience}`);
    const tables = await tablesOf(db, standing);
    const accounts = await sampled(db, tables);
    if (accounts.length === 0) return notApplicable("there is no account");
    const [wrong, unanswered] = [new Map<string, number>(), new Set<string>()];
    let rowsSeen = 0;
    const began = performance.now();
    // Nothing is written: one savepoint does, to which an error goes back.
    await db.query("SAVEPOINT asked");
    for (const table of tables)
      // Who it is plays no part where nobody has a right.
      for (const account of table.shown ? accounts : accounts.slice(0, 1)) {
        signal.throwIfAborted();
        const outcome = performance.now() - began < longest ? await asked(db, table, account) : notAsked(longest);
        if ("state" in outcome) {
          unanswered.add(`${quoteName(table.name)} (${outcome.state})`);
          // What no index answers for one account it answers for none, and each would take as long.
          if (outcome.late) break;
        } else {
          rowsSeen += outcome.shown;
          for (const fault of outcome.faults) wrong.set(fault, (wrong.get(fault) ?? 0) + 1);
        }
      }
    const figures = { users: accounts.length, tables: tables.length, rowsSeen, wrong: wrong.size };
    if (wrong.size > 0)
      return {
        verdict: "failed",
        evidence: some([...wrong].map(([fault, users]) => `${users} of ${accounts.length} sampled users ${fault}`)),
        figures,
        mend: ["put the policy back as its module has it: the checks definitions and row-security name what differs"],
      };
    if (unanswered.size > 0) return { ...couldNotRun(`no answer: ${some([...unanswered]).join(", ")}`), figures };
    const seen = `${accounts.length} users see their own rows of ${tables.length} tables, ${rowsSeen} in all, and nobody else's`;
    return { verdict: "passed", evidence: [seen], figures };
  },
  foreseen: ({ db }) => notAMember(db),
});

export const sampledUsers = sampledUsersWithin(longestMs);

/** Who owns rows of a table: as ownership.ts says, else by the key to auth.users that takes a row along with its account. */
async function tablesOf(db: Queryable, standing: readonly string[]): Promise<Table[]> {
  const keyed = await rows<{ name: string; column: string | null }>(
    db,
    `SELECT n.nspname || '.' || c.relname AS name, pg_catalog.min(a.attname::text) AS column
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN (pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1])
       ON k.conrelid = c.oid AND k.contype = 'f' AND k.confdeltype = 'c' AND k.confrelid = 'auth.users'::regclass
     WHERE n.nspname || '.' || c.relname = ANY ($1) AND c.relkind IN ('r', 'p') GROUP BY 1 ORDER BY 1`,
    [standing],
  );
  return keyed.map(({ name, column }) => {
    const of: { column: string | null } = ownerships[name] ?? { column };
    return { name, shown: of.column !== null && mayRead(name, "authenticated"), ...of, column: of.column ?? "" };
  });
}

/** By the order of keys; and owners, since most accounts may have no row of a table yet. */
async function sampled(db: Queryable, tables: readonly Table[]): Promise<string[]> {
  const spread = await rows<{ id: string }>(
    db,
    `SELECT DISTINCT x.id FROM pg_catalog.generate_series(0, $1 - 1) AS i, LATERAL (SELECT u.id FROM auth.users u
       WHERE u.id >= (pg_catalog.rpad(pg_catalog.lpad(pg_catalog.to_hex(i * (256 / $1)), 2, '0'), 32, '0'))::pg_catalog.uuid ORDER BY u.id LIMIT 1) x`,
    [places],
  );
  const found = new Set(spread.map(({ id }) => id));
  for (const { name, column, values, person, shown } of tables) {
    const of = person ?? (values === undefined ? column : undefined);
    if (!shown || of === undefined || found.size >= most) continue;
    const key = escapeIdentifier(of);
    const owners = await rows<{ id: string }>(
      db,
      `SELECT DISTINCT o.id FROM (SELECT t.${key} AS id FROM ${quoteName(name)} t WHERE t.${key} IS NOT NULL LIMIT 200) o LIMIT 2`,
    );
    for (const { id } of owners) found.add(id);
  }
  return [...found].slice(0, most);
}

/** `late`: the next account would get no answer either. */
type Asked = { shown: number; faults: string[] } | { state: string; late: boolean };

const notAsked = (longest: number): Asked => ({ state: `not asked: ${longest / 1000} s were over`, late: true });

async function asked(db: Queryable, table: Table, account: string): Promise<Asked> {
  const name = quoteName(table.name);
  try {
    const own = table.values === undefined ? [account] : await keys(db, table.values, account);
    const key = escapeIdentifier(table.column);
    const some = `FROM (SELECT ${table.shown ? `${key} AS of` : "1"} FROM ${name} LIMIT ${enough}) t`;
    const theirs = `FROM (SELECT FROM ${name} WHERE ${key} = ANY ($1) LIMIT ${enough}) t`;
    const belongs = table.shown ? await counted(db, `SELECT count(*)::integer AS n ${theirs}`, own) : 0;
    const text = table.shown
      ? `SELECT count(*)::integer AS n, count(*) FILTER (WHERE (t.of = ANY ($1)) IS NOT TRUE)::integer AS others ${some}`
      : `SELECT count(*)::integer AS n, count(*)::integer AS others ${some} WHERE $1::text[] IS NOT NULL`;
    const { n, others } = await seenBy(db, account, text, own);
    const faults = [
      ...(others > 0 ? [`see rows of ${name} that are not theirs`] : []),
      ...(n - others < belongs ? [`do not see all of their rows of ${name}`] : []),
    ];
    return { shown: n, faults };
  } catch (err) {
    await db.query(goBack);
    const late = sqlstateOf(err) === "57014";
    return { state: late ? `not in ${patience / 1000} s` : (sqlstateOf(err) ?? "no SQLSTATE"), late };
  }
}

/** Takes the role back too. */
const goBack = "ROLLBACK TO SAVEPOINT asked";

interface Seen {
  readonly n: number;
  readonly others: number;
}

/** @returns what an account is shown; nothing, where it has no right to a table, or to what its policy asks */
async function seenBy(db: Queryable, account: string, text: string, own: string[]): Promise<Seen> {
  await become(db, "authenticated", account);
  try {
    const seen = await first<Seen & Record<string, unknown>>(db, text, [own]);
    // Not NONE: of a login whose role is set (ALTER ROLE … SET role, or by the connection) that is another one.
    await db.query("RESET ROLE");
    return seen ?? { n: 0, others: 0 };
  } catch (err) {
    if (sqlstateOf(err) !== "42501") throw err;
    await db.query(goBack);
    return { n: 0, others: 0 };
  }
}

const keys = async (db: Queryable, text: string, account: string): Promise<string[]> =>
  (await rows<{ id: string }>(db, text, [account])).map(({ id }) => id);

const counted = async (db: Queryable, text: string, of: string[]): Promise<number> =>
  (await first<{ n: number }>(db, text, [of]))?.n ?? 0;
