import { setTimeout as sleep } from "node:timers/promises";
import { escapeLiteral, type Client } from "pg";
import type { V6 } from "../support/postgres";

/** One call of a function, by somebody. */
interface Call {
  /** The function as module.yaml lists it; `-` for a statement that a table's trigger sees. */
  of: string;
  /** A user's id, or who else: the server side, or an operator. */
  by: string;
  sql: string;
}

/** Functions that take the same lock, and one small world in which they meet. */
export interface Group {
  name: string;
  /** SQL that puts the world back, for each of its states; run by the superuser, without triggers. */
  worlds: Record<string, string>;
  /** In a world that is not here every call is tried. */
  only?: Record<string, readonly string[]>;
  /** By a short name. */
  calls: Record<string, Call>;
  /** SQL: one value that says what became of the world, without ids and times. */
  state: string;
  /** SQL that takes every lock that the calls wait for. */
  hold: string;
  /** What may change while somebody waits for the lock: name → SQL, with triggers. */
  changes: Record<string, string>;
}

/** What calls gave, in the order in which they were named, and what became of the world. */
export interface Outcome {
  said: string[];
  state: string;
}

const blank = (value: unknown): string =>
  JSON.stringify(value)
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uuid>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>");

/** Sessions of one test, which meet in a group's worlds. */
export class Meeting {
  private constructor(
    readonly group: Group,
    private readonly admin: Client,
    private readonly holder: Client,
    private readonly sessions: readonly [Client, Client],
    private readonly pids: readonly [number, number],
  ) {}

  static async open(db: V6, group: Group): Promise<Meeting> {
    const [admin, holder] = [await db.connect("admin"), await db.connect("admin")];
    const sessions = [await db.connect("admin"), await db.connect("admin")] as const;
    const pid = async (client: Client): Promise<number> =>
      (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]!.pid;
    return new Meeting(group, admin, holder, sessions, [await pid(sessions[0]), await pid(sessions[1])]);
  }

  /** The calls that are tried in a world. */
  calls(world: string): string[] {
    return [...(this.group.only?.[world] ?? Object.keys(this.group.calls))];
  }

  /** One after the other, each committed. */
  async inTurn(world: string, first: string, second: string): Promise<Outcome> {
    await this.reset(world);
    return this.outcome([await this.whole(0, first), await this.whole(0, second)]);
  }

  /** The first is done and not committed when the second begins; it is committed once the second waits for it, or is done. */
  async together(world: string, first: string, second: string): Promise<Outcome & { waited: boolean }> {
    await this.reset(world);
    const one = await this.begin(0, first);
    const two = this.begin(1, second);
    const waited = await this.waits(two);
    await this.end(0, one);
    await this.end(1, await two);
    return { ...(await this.outcome([one, await two])), waited };
  }

  /** The second has its snapshot when the first is done and committed. */
  async afterSnapshot(world: string, first: string, second: string): Promise<Outcome> {
    await this.reset(world);
    await this.sessions[1].query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_catalog.pg_class LIMIT 1");
    const one = await this.whole(0, first);
    const two = await this.begin(1, second, "");
    await this.end(1, two);
    return this.outcome([one, two]);
  }

  /** While the call waits, who holds the lock makes a change and commits it; undefined if it does not wait. */
  async whileWaiting(world: string, change: string, name: string): Promise<Outcome | undefined> {
    await this.reset(world);
    await this.holder.query(`BEGIN; ${this.group.hold}`);
    const call = this.begin(1, name);
    const waited = await this.waits(call);
    await this.holder.query(waited ? `${this.group.changes[change]!}; COMMIT` : "ROLLBACK");
    const said = await call;
    await this.end(1, said);
    return waited ? this.outcome([said]) : undefined;
  }

  /** The call after the change. */
  async afterChange(world: string, change: string, name: string): Promise<Outcome> {
    await this.reset(world);
    await this.admin.query(this.group.changes[change]!);
    return this.outcome([await this.whole(1, name)]);
  }

  private async reset(world: string): Promise<void> {
    const text = this.group.worlds[world]!;
    await this.admin.query(`BEGIN; SET LOCAL session_replication_role = replica; ${text}; COMMIT`);
  }

  private async outcome(said: string[]): Promise<Outcome> {
    const { rows } = await this.admin.query<{ state: unknown }>(`SELECT (${this.group.state}) AS state`);
    return { said, state: blank(rows[0]?.state) };
  }

  /** Begins a transaction as who calls, and calls. @returns the rows, or the error's code */
  private async begin(session: 0 | 1, name: string, begin = "BEGIN ISOLATION LEVEL READ COMMITTED;"): Promise<string> {
    const { by, sql } = this.group.calls[name]!;
    const role = /_/.test(by) ? by : "authenticated";
    const token = escapeLiteral(JSON.stringify(role === by ? { role } : { sub: by, role }));
    const text = `${begin} SELECT set_config('request.jwt.claims', ${token}, true); SET LOCAL ROLE ${role}; ${sql}`;
    try {
      const results = (await this.sessions[session].query(text)) as unknown as { rows: unknown[] }[];
      return blank(results.at(-1)!.rows);
    } catch (err) {
      return `error ${(err as { code: string }).code}`;
    }
  }

  private async end(session: 0 | 1, said: string): Promise<void> {
    await this.sessions[session].query(said.startsWith("error") ? "ROLLBACK" : "COMMIT");
  }

  private async whole(session: 0 | 1, name: string): Promise<string> {
    const said = await this.begin(session, name);
    await this.end(session, said);
    return said;
  }

  /** True once the second session waits for somebody; false once it is done. */
  private async waits(work: Promise<unknown>): Promise<boolean> {
    const two = { done: false };
    void work.then(() => (two.done = true));
    for (let i = 0; i < 5000 && !two.done; i++) {
      const { rows } = await this.admin.query<{ n: number }>("SELECT cardinality(pg_blocking_pids($1)) AS n", [
        this.pids[1],
      ]);
      if (rows[0]!.n > 0) return true;
      await sleep(1);
    }
    if (!two.done) throw new Error("neither done nor waiting");
    return false;
  }
}
