import type { Client } from "pg";
import { readLedger } from "../../engine/ledger/identity";
import { readSteps, type Step } from "../../engine/ledger/steps";
import { connect, type Login } from "../v6/database";

/** What the server shows of a running operation. */
export interface Sight {
  /** The plugin's backends. */
  backends: number[];
  /** How the data migrations stand, as text that changes whenever it does; undefined if the server did not answer. */
  data: string | undefined;
  /** A backup is being proven. */
  proving: boolean;
  /** What the ledger wrote last, for people. */
  step: string;
}

const named = { application_name: "guardian-faults", connectionTimeoutMillis: 2000 };

const nothing: Sight = { backends: [], data: undefined, proving: false, step: "no answer" };

/** Looks at a server that may be killed at any time; connects anew when it is back. */
export class Watch {
  #client: Client | undefined;

  constructor(private readonly login: Login) {}

  /** @returns what can be seen now; a server that is down, or starting, shows nothing */
  async look(): Promise<Sight> {
    try {
      const client = (this.#client ??= await connect(this.login, named));
      const { rows } = await client.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity
         WHERE application_name LIKE 'guardian-migration%' AND datname = current_database() ORDER BY backend_start`,
      );
      return { ...nothing, backends: rows.map((row) => row.pid), ...(await steps(client)) };
    } catch {
      await this.close();
      return nothing;
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }
}

async function steps(client: Client): Promise<Pick<Sight, "data" | "proving" | "step">> {
  if (!(await readLedger(client))) return { data: "", proving: false, step: "before the ledger" };
  const steps = await readSteps(client);
  const data = steps.filter(({ kind }) => kind === "DataMigration").map(({ id, state }) => `${id} ${state}`);
  // Times as the server writes them, which sort as text.
  const touched = ({ startedAt, endedAt }: Step): string => endedAt ?? startedAt;
  const last = steps.reduce<Step | undefined>((a, b) => (a && touched(a) > touched(b) ? a : b), undefined);
  const step = last ? [last.urn.split("::").at(-1), last.part, last.state].filter(Boolean).join(" ") : "no step yet";
  const proving = steps.some(({ kind, state }) => kind === "proof" && state === "running");
  return { data: data.join(), proving, step };
}
