import { GuardianError } from "../../base/errors";
import { rows, type Queryable } from "../../base/sql";
import type { WantedBackup } from "./policy";
import { keyOf, tableForm } from "../../../spec/accepted";
import { pulumiCommand } from "../../../spec/command";

/** Names of tables, extensions and subscriptions of this database, as a proof has them. */
const known = `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')
  UNION ALL SELECT 'extension ' || extname FROM pg_catalog.pg_extension
  UNION ALL SELECT 'subscription ' || subname FROM pg_catalog.pg_subscription`;

/** What only a server that is not ours cannot show. */
const elsewhere = new Set(["owners", "rights", "roles", "settings", "policies", "user mappings"]);

/**
 * Refuses names under guardian:accept that no proof can have, before a dump is taken: of a table, an extension or a
 * subscription that is not here, or of what an embedded scratch always shows. Others, such as a function's, only a proof knows.
 * @throws GuardianError config-invalid, naming them
 */
export async function refuseUnknown(db: Queryable, { accept = {}, scratch, verify }: WantedBackup): Promise<void> {
  const given = Object.keys(accept);
  if (given.length === 0 || verify === "list") return;
  const here = new Set((await rows<{ name: string }>(db, known)).map(({ name }) => name));
  const wrong = given.flatMap((key) => {
    const name = key.replace(/^backup\//, "");
    if (elsewhere.has(name)) return scratch ? [] : [{ key, why: "an embedded scratch shows it" }];
    const told = /^(extension|subscription) /.test(name) || tableForm.test(name);
    return told && !here.has(name) ? [{ key, why: "there is no such thing in this database" }] : [];
  });
  if (wrong.length === 0) return;
  throw new GuardianError("config-invalid", {
    what: `guardian:accept names what cannot be: ${wrong.map(({ key, why }) => `${key} (${why})`).join(", ")}; nothing was changed`,
    where: "guardian:accept",
    todo: [
      ...wrong.map(({ key }) => `take it out: ${pulumiCommand(`config rm --path '${keyOf(key)}'`)}`),
      "or correct it: names are written as up names them, quoted where SQL quotes them",
    ],
  });
}
