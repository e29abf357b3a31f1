import { Client } from "pg";
import { ledgerSchema } from "../../engine/ledger/schema";
import type { Login } from "../v6/database";

/** The ledger's name for the steps of the data stage. */
const dataKind = "DataMigration";

/** What the server shows of a running operation. */
export interface Sight {
  /** The plugin's backends. */
  backends: number[];
  /** How the data migrations stand, as text that changes whenever it does; undefined if the server did not answer. */
  data: string | undefined;
  /** What the ledger wrote last, for people. */
  step: string;
}

const nothing: Sight = { backends: [], data: undefined, step: "no answer" };

/** Looks at a server that may be killed at any time; connects anew when it is back. */
export class Watch {
  #client: Client | undefined;

  constructor(private readonly login: Login) {}

  /** @returns what can be seen now; a server that is down, or starting, shows nothing */
  async look(): Promise<Sight> {
    try {
      const client = (this.#client ??= await connect(this.login));
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

async function steps(client: Client): Promise<Pick<Sight, "data" | "step">> {
  const { rows: there } = await client.query<{ ledger: boolean }>(
    `SELECT to_regclass('${ledgerSchema}.step') IS NOT NULL AS ledger`,
  );
  if (there[0]?.ledger !== true) return { data: "", step: "before the ledger" };
  const { rows } = await client.query<{ data: string; step: string | null }>(
    `SELECT coalesce(string_agg(concat_ws(' ', id, state), ',' ORDER BY id) FILTER (WHERE kind = $1), '') AS data,
       (array_agg(concat_ws(' ', regexp_replace(urn, '^.*::', ''), nullif(part, ''), state)
         ORDER BY coalesce(ended_at, started_at) DESC, id DESC))[1] AS step
     FROM ${ledgerSchema}.step`,
    [dataKind],
  );
  return { data: rows[0]?.data ?? "", step: rows[0]?.step ?? "no step yet" };
}

async function connect(login: Login): Promise<Client> {
  const client = new Client({ ...login, application_name: "guardian-faults", connectionTimeoutMillis: 2000 });
  client.on("error", () => undefined); // shows in the next query
  await client.connect();
  return client;
}
