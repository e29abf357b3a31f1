import { escapeIdentifier } from "pg";
import { GuardianError } from "../../base/errors";
import type { ManifestTable } from "../manifest";
import { statementsOf } from "../prove/place";
import { printed, useList, type Restorer, type Toc } from "../prove/toc";
import { parsed, type Parsed } from "./statements";
import type { Left } from "./types";

interface RangeVar {
  schemaname?: string;
  relname?: string;
  location?: number;
}

interface Body {
  relation?: RangeVar;
  cmds?: { AlterTableCmd?: { subtype?: string; name?: string } }[];
  inhRelations?: unknown[];
  partspec?: unknown;
}

/**
 * What makes one table of a dump in another schema: columns, checks, keys of its own and indexes. Keys to other tables,
 * triggers, policies, rights, identities and the defaults of sequences would reach what is in production.
 * @returns statements to be run before its rows are there, and after
 * @throws GuardianError restore-refused for a table that cannot stand alone
 */
export async function tableDefinitions(
  restorer: Restorer,
  dump: string,
  toc: Toc,
  table: ManifestTable,
  schema: string,
): Promise<{ before: string[]; after: string[]; left: Left[] }> {
  const ofTable = ({ kind, oid }: Toc["entries"][number]): boolean => kind === "TABLE" && oid === table.oid;
  const inSchema = ({ kind, rest }: Toc["entries"][number]): boolean =>
    /^(CONSTRAINT|INDEX|SEQUENCE)$/.test(kind) && // an identity stands with its sequence
    rest.startsWith(`${table.schema} `);
  const list = await useList(
    restorer.folder,
    "table.list",
    toc.entries.filter((entry) => ofTable(entry) || inSchema(entry)),
  );
  const options = ["--no-owner", "--no-privileges", "--no-comments", "--no-tablespaces", "--no-security-labels"];
  const [before, after]: [string[], string[]] = [[], []];
  const left: Left[] = [];
  const statements = await parsed(await statementsOf(await printed(restorer, dump, [...options, list])));
  for (const { text, kind, body } of statements as readonly (Parsed & { body: Body })[]) {
    if (body.relation?.relname !== table.table || body.relation.schemaname !== table.schema) continue;
    if (kind === "CreateStmt" && (body.inhRelations || body.partspec)) throw unable(table);
    const numbered = body.cmds?.find(({ AlterTableCmd }) => AlterTableCmd?.subtype === "AT_AddIdentity")?.AlterTableCmd;
    if (numbered) {
      left.push({ what: `the identity of column ${numbered.name ?? ""}`, why: "it would draw from a sequence" });
      continue;
    }
    const moved = elsewhere(text, body.relation, schema);
    // Not logged, it goes to no replica and to no subscriber of a publication for all tables.
    if (kind === "CreateStmt") before.push(moved.replace(/^CREATE (UNLOGGED )?TABLE/, "CREATE UNLOGGED TABLE"));
    else {
      const later =
        kind === "IndexStmt" ||
        (kind === "AlterTableStmt" && /\b(ADD CONSTRAINT|CLUSTER ON|REPLICA IDENTITY)\b/.test(text));
      (later ? after : before).push(moved);
    }
  }
  if (before.length === 0) throw unable(table);
  const defaults = toc.entries
    .filter(({ kind, rest }) => kind === "DEFAULT" && rest.startsWith(`${table.schema} ${table.table} `))
    .map(({ rest }) => ({
      what: `the default of column ${rest.split(" ").slice(2, 3).join("")}`,
      why: "it would draw from production's sequence",
    }));
  return { before, after, left: [...left, ...defaults] };
}

/** Puts the new schema in the place of the old one, where the parser says that the relation's name begins (in bytes). */
function elsewhere(text: string, relation: RangeVar, schema: string): string {
  const bytes = Buffer.from(text);
  const at = relation.location ?? 0;
  const rest = bytes.subarray(at).toString();
  const name = relation.schemaname ?? "";
  const spelled = [escapeIdentifier(name), name].find((one) => rest.startsWith(`${one}.`));
  if (spelled === undefined) throw new Error("the parser and the dump disagree on where a name is");
  return bytes.subarray(0, at).toString() + escapeIdentifier(schema) + rest.slice(spelled.length);
}

function unable(table: ManifestTable): GuardianError {
  return new GuardianError("restore-refused", {
    what: `${table.schema}.${table.table} is made from another table (INHERITS, PARTITION BY) and cannot stand alone; nothing was written`,
    where: `${table.schema}.${table.table}`,
    todo: "restore the whole backup into a new database, and take the table from there",
  });
}
