import { loadMigration } from "../../engine/migrate/definition/migration";
import { under } from "../../engine/migrate/definition/range";
import { quoteName } from "../../engine/base/sql";
import { withClient, type Login } from "../../scripts/v6/database";
import type { Job } from "./job";

/** Columns with the time of the run in them, as SQL without it; that there is one is compared. */
const timeless: Record<string, string> = {
  consent_evidence: `jsonb_set(t.consent_evidence, '{recorded_at}', '"then"', false)`,
};

/** @returns the rows of the migration's target by their number and a hash that knows no order, of the columns that it writes */
export async function contentOf(admin: Login, name: string): Promise<string> {
  const { target, columns } = await loadMigration(name);
  const values = columns.map((column) => timeless[column] ?? under("t", [column])[0]);
  return withClient(admin, async (client) => {
    const { rows } = await client.query<{ n: string; hash: string | null }>(
      `SELECT count(*) AS n, sum(hash_record_extended(ROW(${values.join(", ")}), 0)) AS hash FROM ${quoteName(target)} t`,
    );
    return `${rows[0]?.n} rows with hash ${rows[0]?.hash ?? "0"}`;
  });
}

/** What each way of moving rows left in the target. */
export class Contents {
  readonly #found = new Map<Job["how"], string>();

  constructor(readonly migration: string) {}

  /** True where nothing is known of this way: looking at every row takes long. */
  lacks(how: Job["how"]): boolean {
    return !this.#found.has(how);
  }

  /** @throws Error if another way left something else: what is compared would not be the same work */
  add(how: Job["how"], content: string): void {
    const [other] = [...this.#found].filter(([, known]) => known !== content);
    if (other) throw new Error(`${this.migration}: ${other[1]} by ${other[0]}, but ${content} by ${how}`);
    this.#found.set(how, content);
  }
}
