import { Client, DatabaseError, type ClientConfig } from "pg";

/** What became of one request. */
export interface Outcome {
  /** SQLSTATE, or "connection" where the server did not answer; undefined: it was done. */
  failure: string | undefined;
}

type Job = { sql: string; done: (outcome: Outcome) => void };

/** Connections in turn, and a queue for when all are busy, as an API server has it. */
export class Pool {
  readonly #clients: Client[] = [];
  #free: Client[] = [];
  #waiting: Job[] = [];
  /** Where the queue begins: taking from the front of an array copies it. */
  #next = 0;

  constructor(readonly config: ClientConfig) {}

  async open(size: number): Promise<void> {
    for (let i = 0; i < size; i++) {
      const client = new Client(this.config);
      client.on("error", () => undefined); // shows in the next request
      await client.connect();
      this.#clients.push(client);
      this.#free.push(client);
    }
  }

  /** Sends it on the connection that was idle longest, or as soon as one is. */
  run(sql: string, done: (outcome: Outcome) => void): void {
    const client = this.#free.shift();
    if (client) this.#send(client, { sql, done });
    else this.#waiting.push({ sql, done });
  }

  #send(client: Client, { sql, done }: Job): void {
    client.query(sql, (err) => {
      const next = this.#waiting[this.#next++];
      if (!next || this.#next > 1000) {
        this.#waiting = this.#waiting.slice(this.#next);
        this.#next = 0;
      }
      if (next) this.#send(client, next);
      else this.#free.push(client);
      done({ failure: failureOf(err) });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()));
  }
}

// pg's types say that there always is an error.
function failureOf(err: Error | null | undefined): string | undefined {
  if (!err) return undefined;
  return err instanceof DatabaseError ? (err.code ?? "XX000") : "connection";
}
