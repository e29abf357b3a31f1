import type { Queryable } from "../../base/sql";
import type { Surroundings } from "../manifest";
import { readSurroundings } from "../surroundings";
import { differs, listed } from "./differs";
import type { Unproven } from "./types";

/** What only a server of ours can show: all but this is of the whole server, or of a role. */
const everywhere = new Set(["extension", "subscription"]);

/**
 * Compares what is around the tables: each fact of the manifest must be true of the copy. Values are not shown: a setting's
 * may be a secret.
 * @param db the copy, in a transaction with the fingerprint's text settings
 * @param excused what is unproven already
 * @throws GuardianError of the comparison
 */
export async function compareFacts(
  around: Surroundings,
  db: Queryable,
  options: { ours: boolean; excused: ReadonlySet<string>; where: string },
): Promise<Unproven[]> {
  const { facts } = await readSurroundings(db, []);
  const unproven: Unproven[] = [];
  const wrong: string[] = [];
  for (const [kind, named] of Object.entries(around.facts)) {
    if (!options.ours && !everywhere.has(kind)) continue;
    for (const [name, value] of Object.entries(named)) {
      const found = facts[kind]?.[name];
      if (found === value || isExcused(kind, name, options.excused)) continue;
      if (kind === "extension" && found !== undefined) {
        unproven.push({ table: `extension ${name}`, reason: `the scratch has ${found}, the database has ${value}` });
      } else if (kind === "subscription" && found === undefined) {
        const reason = options.ours
          ? "it is not in the dump: only a superuser's has subscriptions"
          : "it is not made on a scratch server that is not ours, where it could not be dropped without its publisher";
        unproven.push({ table: `subscription ${name}`, reason });
      } else wrong.push(`${kind} ${name} ${found === undefined ? "is missing" : "is another"}`);
    }
  }
  if (wrong.length > 0) throw differs("compare", `in the restored copy, ${listed(wrong)}`, options.where);
  return unproven;
}

/** A setting is excused by its parameter, whoever it is set for. */
function isExcused(kind: string, name: string, excused: ReadonlySet<string>): boolean {
  if (kind === "extension") return excused.has(`extension ${name}`);
  if (kind === "database" && name === "locale") return excused.has("locale");
  const parameter = `setting ${name.split(" ")[0] ?? ""} of `;
  return kind === "setting" && [...excused].some((one) => one.startsWith(parameter));
}
