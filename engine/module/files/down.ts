import { GuardianError } from "../../base/errors";
import type { Node, Statement } from "./statements";
import { created } from "./creates";
import { dropped, type Dropped } from "./dropped";
import { grantsOwn } from "./grants";
import { lasting } from "./lasting";
import { runningOf, wordsOf } from "./running";
import { mentions, nameOf } from "./touching";
import { written } from "./writes";

/** A statement of down.sql that a rollback would fail at, or that would take away what is not the module's. */
interface Flaw {
  statement: Statement;
  why: string;
}

/** Words of a statement that changes more than rows. */
const defines = /\b(alter|create|drop|grant|revoke|truncate)\b/i;

/** What module.yaml says that the module makes, and which tables wait in the archive after a rollback. */
interface Made {
  objects: readonly string[];
  archive: readonly { table: string }[];
}

/**
 * Finds what would be wrong with a rollback before there is anything to roll back: once the module is applied, and its
 * folder perhaps gone, it is too late. What a DO block does to rows is counted in the rollback (rows.ts).
 * @param up the statements that make the module: views and indexes of archived tables go with these
 * @throws GuardianError naming every place
 */
export function refuseDown(file: string, down: readonly Statement[], up: readonly Statement[], manifest: Made): void {
  const gone = goneBefore(up, manifest);
  const flaws = down.flatMap((statement) => [
    ...flawsOf(statement, gone, manifest.objects),
    ...lasting(statement, [...up, ...down], manifest.objects).map((call) => ({
      statement,
      why: `${call} lasts beyond the transaction`,
    })),
  ]);
  if (flaws.length === 0) return;
  const places = flaws.map(({ statement, why }) => {
    const text = statement.text.replaceAll(/\s+/g, " ");
    return `${file}:${statement.line}: ${text.length > 80 ? `${text.slice(0, 80)}…` : text} (${why})`;
  });
  throw new GuardianError("file-invalid", {
    what: "down.sql would fail in the rollback, or take away what is not the module's",
    where: places.join("\n    "),
    todo: [
      "take these out of down.sql: it drops, one by one, what module.yaml lists and the engine does not take away itself",
      "if a table's rows are to go with it, take the table out of archive in module.yaml",
    ],
  });
}

/** What the engine has taken away before down.sql runs: archived tables, their indexes, and the module's views over them. */
function goneBefore(up: readonly Statement[], { archive, objects }: Made): string[] {
  const gone = archive.map(({ table }) => table);
  for (const { tree } of up) {
    const index = tree["IndexStmt"] as { idxname?: string; relation?: Relation } | undefined;
    if (index?.idxname && gone.includes(nameOf(index.relation) ?? "")) {
      gone.push(`${index.relation?.schemaname ?? "public"}.${index.idxname}`);
    }
    // A view stands after what it is over.
    const view = (tree["ViewStmt"] as { view?: Relation } | undefined)?.view;
    const stored = (tree["CreateTableAsStmt"] as { into?: { rel?: Relation } } | undefined)?.into?.rel;
    const name = nameOf(view ?? stored);
    if (name !== undefined && objects.includes(`view ${name}`) && gone.some((relation) => mentions(tree, relation)))
      gone.push(name);
  }
  return gone;
}

/** A RangeVar. */
type Relation = { schemaname?: string; relname?: string };

function flawsOf(statement: Statement, gone: readonly string[], objects: readonly string[]): Flaw[] {
  const { tree } = statement;
  const flaw = (why: string): Flaw => ({ statement, why });
  const taken = gone.filter((relation) => mentions(tree, relation));
  const strange = dropped(tree).filter(
    (name) => !taken.some((it) => (name.on ?? name.id) === it) && !lists(objects, name),
  );
  const others = written(statement).filter(
    (name) => !taken.includes(name) && !["table", "view"].some((kind) => objects.includes(`${kind} ${name}`)),
  );
  const makes = created(tree).filter((name) => !lists(objects, name));
  const grants = "GrantStmt" in tree && !grantsOwn(tree["GrantStmt"] ?? null, objects);
  return [
    ...("DoStmt" in tree && defines.test(wordsOf(runningOf(statement)))
      ? [flaw("what a block defines or drops cannot be told: write it as a statement")]
      : []),
    ...(grants ? [flaw("these rights are not on what is the module's")] : []),
    ...others.map((name) => flaw(`${name} is not the module's: what is done to it is not undone by the next up`)),
    ...taken.map((relation) => flaw(`${relation} is not there any more: the engine archives or drops it before`)),
    ...[...strange, ...makes].map(({ kind, id, on }) =>
      flaw(`${kind} ${id}${on ? ` on ${on}` : ""} is not listed in module.yaml`),
    ),
    ...(holds(tree, "behavior", "DROP_CASCADE") ? [flaw("CASCADE takes away what others made")] : []),
    ...(holds(tree, "missing_ok", true) ? [flaw("IF EXISTS hides that something is missing")] : []),
  ];
}

/** @returns whether all that a statement does is to drop tables that are among these */
export function dropsOnly({ tree }: Statement, tables: readonly string[]): boolean {
  const all = dropped(tree);
  return all.length > 0 && all.every(({ kind, id }) => kind === "table" && tables.includes(id));
}

/** Functions are compared without their arguments: a type has many names. */
function lists(objects: readonly string[], { kind, id, on }: Dropped): boolean {
  if (kind === "function") return objects.some((object) => object.startsWith(`function ${id}(`));
  return objects.includes(`${kind} ${id}${on === undefined ? "" : ` on ${on}`}`);
}

/** True if a field has that value anywhere in the tree. */
function holds(node: Node, field: string, value: Node): boolean {
  if (Array.isArray(node)) return node.some((item) => holds(item, field, value));
  if (node === null || typeof node !== "object") return false;
  return node[field] === value || Object.values(node).some((item) => holds(item, field, value));
}
