import { escapeIdentifier, escapeLiteral, Pool } from "pg";
import { startServer, type Server } from "../../engine/server/server";
import type { Major } from "../../engine/server/binaries";
import { cloneDatabase, createV6, withClient, type Logins } from "../../scripts/v6/database";
import { major } from "./major";

/** What is done to a v6 before a test gets it, named after what it leaves. */
export interface Preparation {
  name: string;
  /** What comes before: its template is what this one is made from; absent: the bare v6. */
  after?: Preparation;
  /** May use the database alone, and leaves no connection to it. */
  prepare: (db: Logins) => Promise<void>;
  /** Done to every copy, as the superuser. */
  everyCopy?: string;
}

/** What a copy of a database with a ledger is told: where it is now. */
export const movedHere = `UPDATE guardian_migration.ledger SET database = d.datname, database_oid = d.oid
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`;

/** A server of this process, and a superuser's one connection to its database "postgres" that is kept. */
export interface TestServer extends Server {
  admin: Pool;
}

const servers = new Map<Major, Promise<TestServer>>();
const templates = new Map<string, Promise<string>>();
let numbered = 0;

/**
 * This process's one server of a version, started when first asked for. Every worker of a parallel run has its own, so that
 * what tests do to roles, settings and other databases of a server stays theirs; it ends with its process.
 */
export function running(on: Major): Promise<TestServer> {
  return remember(servers, on, async () => {
    // In memory the log of changes is not to grow to gigabytes before a checkpoint.
    const memory = { max_prepared_transactions: "5", max_wal_size: "1GB" };
    // How hard a password is to guess is not what is tested, and thousands of logins have to be paid for (manual, 19.3).
    const settings = { ...memory, ...(on >= 16 ? { scram_iterations: "1" } : {}) };
    const server = await startServer({ major: on, inMemory: true, settings });
    const { host, port, user, password } = server;
    const login = { host, port, user, password, database: "postgres", application_name: "kept" };
    const admin = new Pool({ ...login, max: 1, idleTimeoutMillis: 0 });
    admin.on("error", () => undefined); // the server is gone: the next query says so
    await admin.query(`ALTER ROLE ${escapeIdentifier(user)} PASSWORD ${escapeLiteral(password)}`); // initdb's has all iterations
    return Object.assign(server, { admin });
  });
}

/** The server of the version that this run tests on. */
export const server = (): Promise<TestServer> => running(major);

/** Stops this process's servers. */
export async function stopServers(): Promise<void> {
  const all = [...servers.values()];
  servers.clear();
  templates.clear();
  for (const one of await Promise.allSettled(all)) {
    if (one.status !== "fulfilled") continue;
    await one.value.admin.end().catch(() => undefined); // a test may have ended it
    await one.value.stop();
  }
}

/** Makes a database of that name: a copy of a v6 of that size, prepared so. */
export async function cloned(
  on: TestServer,
  name: string,
  size: { users: number; profiles: boolean },
  prepared?: Preparation,
): Promise<Logins> {
  const v6 = `v6_${size.users}_${size.profiles ? "profiles" : "bare"}`;
  const plain = (): Promise<string> =>
    remember(templates, `${on.major} ${v6}`, async () => {
      await createV6(on, v6, size);
      return v6;
    });
  const template = (of: Preparation | undefined): Promise<string> =>
    of ? remember(templates, `${on.major} ${v6} ${of.name}`, () => make(on, of, template)) : plain();
  return copied(on, await template(prepared), name, prepared);
}

/** @param made what that template was made by */
async function copied(on: TestServer, template: string, name: string, made: Preparation | undefined): Promise<Logins> {
  const copy = await cloneDatabase(on, template, name, on.admin);
  const everyCopy = made?.everyCopy;
  if (everyCopy !== undefined) await withClient(copy.admin, (client) => client.query(everyCopy));
  return copy;
}

async function make(
  on: TestServer,
  { after, prepare }: Preparation,
  template: (of: Preparation | undefined) => Promise<string>,
): Promise<string> {
  const before = await template(after);
  const name = `template_${++numbered}`;
  const made = await copied(on, before, name, after);
  try {
    await prepare(made);
  } catch (err) {
    await on.admin.query(`DROP DATABASE ${escapeIdentifier(name)} WITH (FORCE)`);
    throw err;
  }
  return name;
}

function remember<K, V>(map: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = map.get(key);
  if (known) return known;
  const made = make();
  map.set(key, made);
  made.catch(() => map.delete(key)); // the next test may have more luck, and its own error
  return made;
}
