import { Database } from "../../engine/database";
import type { Login } from "../support/postgres";
import { settingsOf } from "./module/harness";

/** Does some work with a database as one process has it. */
export async function withHost<T>(login: Login, work: (host: Database) => Promise<T>): Promise<T> {
  const host = new Database(settingsOf(login));
  try {
    return await work(host);
  } finally {
    await host.close();
  }
}
