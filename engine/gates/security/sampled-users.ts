import { escapeIdentifier } from "pg";
import { sqlstateOf } from "../../base/errors";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { become, notAMember } from "../api";
import { isPassing, notApplicable, some, type Check } from "../check";
import { late, noAnswer, whyNot } from "./no-answer";
import { inTime, mayTakeTooLong } from "../in-time";
import { ownerships, type Ownership } from "./ownership";
import { mayRead } from "./permitted";

/** Accounts at so many places of the key space, the same each time, are asked of each table; and so many that own rows of it. */
const places = 8;
const ownersOfEach = 2;

/** So many rows of a table are enough to tell. */
const enough = 10_000;

/** How long all questions together may take, in milliseconds: one snapshot is held meanwhile. */
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
    // With row_security off: a role from which policies hide rows would be told that nobody has any.
    await mayTakeTooLong(db, 0);
    const began = performance.now();
    const left = (): boolean => performance.now() - began < longest;
    const tables = await tablesOf(db, standing);
    const accounts = await sampled(db, tables, left, longest);
    await db.query("SET LOCAL row_security = on");
    if (accounts.all.size === 0 && accounts.unknown.length === 0) return notApplicable("there is no account");
    // Nothing is written: one savepoint does, to which an error goes back.
    await db.query("SAVEPOINT asked");
    const told: Told[] = [];
    for (const table of tables) {
      signal.throwIfAborted();
      told.push(await askedOf(db, table, accounts.of(table), left, longest));
    }
    const wrong = told.flatMap(({ faults }) => faults);
    const unanswered = [
      ...accounts.unknown,
      ...told.flatMap(({ unanswered: why, table }) => why.map((one) => `${quoteName(table.name)} (${one})`)),
    ];
    const nobodys = told.flatMap(({ table, answered, owned }) =>
      table.shown && answered > 0 && owned === 0 ? [table.name] : [],
    );
    const rowsSeen = told.reduce((sum, { shown }) => sum + shown, 0);
    const own = tables.filter(({ shown }) => shown).length - nobodys.length;
    const figures = {
      ...{ users: accounts.all.size, tables: tables.length, ownTables: own },
      ...{ rowsSeen, wrong: wrong.length },
    };
    if (wrong.length > 0)
      return {
        verdict: "failed",
        evidence: some(wrong),
        figures,
        mend: ["put the policy back as its module has it: the checks definitions and row-security name what differs"],
      };
    if (unanswered.length > 0)
      return { ...noAnswer(unanswered, accounts.unknown.length > 0 || told.some(({ again }) => again)), figures };
    const seen = `${accounts.all.size} users see their own rows of ${own} tables, ${rowsSeen} in all, and nobody else's of ${tables.length}`;
    // That nobody is shown another's is proven of these; that their owners see them is not.
    const none = nobodys.length === 0 ? [] : [`nobody sampled has a row of ${some(nobodys).join(", ")}`];
    return { verdict: "passed", evidence: [seen, ...none], figures };
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

/** Who is asked. */
interface Sampled {
  readonly all: ReadonlySet<string>;
  /** Of a table: accounts of all the key space first, then such as own rows of it. */
  of(table: Table): string[];
  /** Tables whose owners were not found in time, and why; the others are asked for all the same. */
  readonly unknown: readonly string[];
}

/** By the order of keys; and owners of each table, since most accounts may have no row of it yet. */
async function sampled(
  db: Queryable,
  tables: readonly Table[],
  left: () => boolean,
  longest: number,
): Promise<Sampled> {
  const unknown: string[] = [];
  const find = async (name: string, text: string, values: unknown[]): Promise<string[]> => {
    const found = left() ? await inTime(db, () => rows<{ id: string }>(db, text, values)) : undefined;
    if (!found) unknown.push(`${quoteName(name)} (${left() ? `whom to ask for: ${late}` : notInTime(longest)})`);
    return (found ?? []).map(({ id }) => id);
  };
  const everywhere = await find(
    "auth.users",
    `SELECT DISTINCT x.id FROM pg_catalog.generate_series(0, $1 - 1) AS i, LATERAL (SELECT u.id FROM auth.users u
       WHERE u.id >= (pg_catalog.rpad(pg_catalog.lpad(pg_catalog.to_hex(i * (256 / $1)), 2, '0'), 32, '0'))::pg_catalog.uuid ORDER BY u.id LIMIT 1) x`,
    [places],
  );
  const owners = new Map<string, string[]>();
  for (const { name, column, values, person, shown } of tables) {
    const of = person ?? (values === undefined ? column : undefined);
    if (!shown || of === undefined) continue;
    const key = escapeIdentifier(of);
    const text = `SELECT DISTINCT o.id FROM (SELECT t.${key} AS id FROM ${quoteName(name)} t WHERE t.${key} IS NOT NULL LIMIT 200) o LIMIT ${ownersOfEach}`;
    owners.set(name, await find(name, text, []));
  }
  // Where no column names a person, those whom tables of the same kind name.
  const persons = tables.flatMap(({ name, person }) => (person === undefined ? [] : (owners.get(name) ?? [])));
  const ownersOf = ({ name, values, person }: Table): string[] =>
    values !== undefined && person === undefined ? persons : (owners.get(name) ?? []);
  return {
    all: new Set([...everywhere, ...owners.values()].flat()),
    of: (table) => [...new Set([...everywhere, ...ownersOf(table)])],
    unknown,
  };
}

/** What came of asking for one table. */
interface Told {
  readonly table: Table;
  readonly answered: number;
  /** Rows that were shown, and rows that belong to whom was asked for. */
  readonly shown: number;
  readonly owned: number;
  /** With how many users each met. */
  readonly faults: readonly string[];
  readonly unanswered: readonly string[];
  /** Whether any reason why there is no answer passes by itself. */
  readonly again: boolean;
}

/** @param left whether there is time for another question */
async function askedOf(
  db: Queryable,
  table: Table,
  whom: readonly string[],
  left: () => boolean,
  longest: number,
): Promise<Told> {
  const faults = new Map<string, number>();
  const unanswered = new Set<string>();
  let [answered, shown, owned, again] = [0, 0, 0, false];
  // Who it is plays no part where nobody has a right.
  for (const account of table.shown ? whom : whom.slice(0, 1)) {
    const outcome = left() ? await asked(db, table, account) : notAsked(longest);
    if ("state" in outcome) {
      unanswered.add(outcome.state);
      again ||= outcome.late || isPassing(outcome.state);
      // What no index answers for one account it answers for none, and each would take as long.
      if (outcome.late) break;
      continue;
    }
    answered++;
    shown += outcome.shown;
    owned += outcome.belongs;
    for (const fault of outcome.faults) faults.set(fault, (faults.get(fault) ?? 0) + 1);
  }
  const lines = [...faults].map(([fault, users]) => `${users} of ${answered} sampled users ${fault}`);
  return { table, answered, shown, owned, faults: lines, unanswered: [...unanswered], again };
}

/** `late`: the next account would get no answer either. */
type Asked = { shown: number; belongs: number; faults: string[] } | { state: string; late: boolean };

const notInTime = (longest: number): string => `not asked: ${longest / 1000} s were over`;
const notAsked = (longest: number): Asked => ({ state: notInTime(longest), late: true });

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
    return { shown: n, belongs, faults };
  } catch (err) {
    await db.query(goBack);
    const state = sqlstateOf(err);
    return { state: whyNot(state), late: state === "57014" };
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
