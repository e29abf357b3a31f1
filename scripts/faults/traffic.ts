import { createHash } from "node:crypto";
import type { Client } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { sqlstateOf } from "../../engine/base/errors";
import { connect, withClient, type Login } from "../v6/database";

/** What one client of the application does: one transaction after the other, with a pause between them. */
export interface Work {
  /** In milliseconds. */
  pause: number;
  /** @param n how many were committed before */
  turn: (client: Client, seed: string, n: number) => Promise<void>;
}

/**
 * Accounts that register and are deleted again, profiles that change and change back in one transaction. The triggers note all
 * of it and the catching up meets it, yet whenever v7 cuts over, v6 and v7 are in the end what they are without it: what is
 * compared need not know when that was.
 */
const leavingNothing: Work = { pause: 150, turn: comeAndGo };

const named = { application_name: "v6 traffic", connectionTimeoutMillis: 2000 };

/** Traffic of v6 while a migration runs, by one client. */
export class Traffic {
  readonly #over = new AbortController();
  readonly #refused: string[] = [];
  #running: Promise<void> | undefined;
  #n = 0;

  constructor(
    private readonly login: Login,
    private readonly seed: string,
    private readonly work = leavingNothing,
  ) {}

  /** Of each transaction that was not committed its SQLSTATE, or that there was no answer. */
  get refused(): readonly string[] {
    return this.#refused;
  }

  /** Begins, and goes on through crashes of the server. */
  start(): void {
    this.#running = this.#drive();
  }

  /** Ends it, and deletes whoever is still registered. @returns how many transactions were committed */
  async stop(): Promise<number> {
    this.#over.abort();
    await this.#running;
    await withClient(this.login, (client) => client.query("DELETE FROM auth.users WHERE aud = 'traffic'"));
    return this.#n;
  }

  async #drive(): Promise<void> {
    let client: Client | undefined;
    while (!this.#over.signal.aborted) {
      try {
        client ??= await connect(this.login, named);
        await this.work.turn(client, this.seed, this.#n);
        this.#n += 1;
      } catch (err) {
        // The server was killed, or a lock came between: on to the next.
        this.#refused.push(sqlstateOf(err) ?? "no answer");
        await client?.end().catch(() => undefined);
        client = undefined;
      }
      await sleep(this.work.pause, undefined, { signal: this.#over.signal }).catch(() => undefined);
    }
    await client?.end().catch(() => undefined);
  }
}

async function comeAndGo(client: Client, seed: string, n: number): Promise<void> {
  const who = key(`${seed} traffic ${Math.floor(n / 4)}`);
  switch (n % 4) {
    // What was committed in a crash's last moment may come again.
    case 0:
      await client.query(
        `INSERT INTO auth.users (id, aud, role, is_sso_user, created_at, updated_at)
         VALUES ($1, 'traffic', 'authenticated', true, now(), now()) ON CONFLICT DO NOTHING`,
        [who],
      );
      return;
    case 1:
      await client.query(
        `INSERT INTO public.user_profiles (user_id, language, timezone) VALUES ($1, 'fr', 'UTC') ON CONFLICT DO NOTHING`,
        [who],
      );
      return;
    case 2:
      await changeAndBack(client, who);
      return;
    default:
      await client.query("DELETE FROM auth.users WHERE id = $1", [who]);
  }
}

/** Five profiles from this key on. */
async function changeAndBack(client: Client, from: string): Promise<void> {
  await client.query("BEGIN");
  const { rows } = await client.query<{ user_id: string; language: string | null }>(
    "SELECT user_id, language FROM public.user_profiles WHERE user_id > $1 ORDER BY user_id LIMIT 5 FOR UPDATE",
    [from],
  );
  const change = "UPDATE public.user_profiles SET language = $2 WHERE user_id = $1";
  for (const row of rows) await client.query(change, [row.user_id, "sv"]);
  for (const row of rows) await client.query(change, [row.user_id, row.language]);
  await client.query("COMMIT");
}

/** A uuid that follows from a text. */
export function key(text: string): string {
  return createHash("md5").update(text).digest("hex");
}
