import { listed, type Key, type ModulePage, type RelationPage } from "./catalogue";
import { acts, actors, type Matrix, type Outcome, type TableTries } from "./matrix";
import type { Module } from "../../engine/module/files/manifest";

const made =
  "<!-- Made by `npm run docs` from the catalogue of a migrated database; change the COMMENTs, not this file. -->";

/** A table of Markdown; cells are escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
/** As code, in one line; nothing of nothing. */
export const code = (text: string): string => (text === "" ? "" : `\`${text.replaceAll(/\s+/g, " ")}\``);
/** A name without the schema that all of them have. */
export const bare = (name: string): string => name.replace(/^public\./, "");

/** The page of one module. */
export function modulePage({ module, tables, views, functions }: ModulePage): string {
  const kept = module.archive.map(
    ({ table: name, subject }) =>
      `${code(bare(name))} (${subject ? `rows of the person in ${code(subject)}` : "rows of nobody: kept whole"})`,
  );
  const parts = [
    made,
    `# ${module.name}`,
    module.title,
    [
      `- **Needs**: ${module.requires.map(code).join(", ") || "nothing"}`,
      `- **Locks of v6**, for at most 200 ms: ${module.locks.map(code).join(", ") || "none"}`,
      `- **Kept after a rollback**: ${kept.join(", ") || "nothing"}`,
    ].join("\n"),
    ...(tables.length > 0 ? ["## Tables", ...tables.flatMap(relation)] : []),
    ...(views.length > 0 ? ["## Views", ...views.flatMap(relation)] : []),
    "## Functions",
    ...functions.map((found) =>
      [
        `### ${bare(found.name)}`,
        code(`(${found.arguments}) → ${found.returns}`) + (found.definer ? ", with the owner's rights" : ""),
        found.comment ?? "",
      ].join("\n\n"),
    ),
  ];
  return parts.join("\n\n");
}

function relation({ name, comment, columns, indexes, triggers, policies }: RelationPage): string[] {
  const list = (title: string, lines: string[]): string[] =>
    lines.length > 0 ? [`${title}:`, lines.map((line) => `- ${code(line)}`).join("\n")] : [];
  return [
    `### ${bare(name)}`,
    comment ?? "",
    table(
      ["Column", "Type", "NULL", "Default", "What it is"],
      columns.map((column) => [
        code(column.name),
        code(column.type),
        column.nullable ? "yes" : "",
        code(column.default ?? ""),
        column.comment ?? "",
      ]),
    ),
    ...list(
      "Indexes",
      indexes.map((line) => line.replace(/^CREATE /, "")),
    ),
    ...list("Policies", policies),
    ...list("Triggers", triggers),
  ];
}

/** What a key is for: the person whose row it is, somebody who acted, or another row. */
function roleOf({ target, action }: Key): string {
  if (target !== "auth.users") return "row";
  return action === "CASCADE" ? "person" : "actor";
}

/** The index of the pages, with what becomes of each row when an account or another row is deleted. */
export function indexPage(modules: readonly Module[], keys: readonly Key[]): string {
  return [
    made,
    "# v7, module by module",
    table(
      ["Module", "What it is", "Tables", "Functions"],
      modules.map((module) => [
        `[${module.name}](${module.name}.md)`,
        module.title,
        String(listed(module, "table").length),
        String(listed(module, "function").length),
      ]),
    ),
    "Who may do what: [permissions.md](../permissions.md).",
    "## When something is deleted",
    "Deleting an account deletes its rows (person) and forgets it where it acted (actor). Tables without a key to `auth.users` " +
      "below, the audit trails among them, outlive accounts.",
    table(
      ["Table", "Column", "Refers to", "On delete", "Is the"],
      keys.map((key) => [code(bare(key.table)), code(key.column), code(key.target), key.action, roleOf(key)]),
    ),
    `Without a key to an account or a document: ${tablesWithout(modules, keys)
      .map((name) => code(bare(name)))
      .join(", ")}.`,
  ].join("\n\n");
}

function tablesWithout(modules: readonly Module[], keys: readonly Key[]): string[] {
  const out = new Set(["auth.users", "public.documents"]);
  const tied = new Set(keys.filter((key) => out.has(key.target)).map((key) => key.table));
  return listed(modules, "table").filter((name) => !tied.has(name));
}

/** docs/permissions.md. */
export function permissionsPage(modules: readonly Module[], matrix: Matrix): string {
  const names = actors.map((actor) => actor.name);
  const section = (module: Module): string[] => {
    const relations = [...listed(module, "table"), ...listed(module, "view")].sort();
    const functions = listed(module, "function").sort();
    return [
      `## ${module.name}`,
      ...(relations.length === 0
        ? []
        : [
            table(
              ["Table or view", ...names],
              relations.map((name) => [
                code(bare(name)),
                ...names.map((actor) => tableCell(matrix.tables.get(name)?.get(actor))),
              ]),
            ),
          ]),
      ...(functions.length === 0
        ? []
        : [
            table(
              ["Function", ...names],
              functions.map((name) => [
                code(bare(name)),
                ...names.map((actor) => words[matrix.functions.get(name)?.get(actor) ?? "no"]),
              ]),
            ),
          ]),
    ];
  };
  return [
    made,
    "# Who may do what",
    "Every cell was tried as the role itself on a migrated database, on a row that belongs to the owner, and rolled back. The " +
      "owner is the patient; the provider is a user to whom the owner gave a consent; the operator is `guardian_operator`; " +
      "service_role passes row security. An act that is not named was denied.",
    "- (read): the right is there, but row security shows or takes no such row.\n" +
      "- [update]: a trigger of the table refuses it, for everybody.\n" +
      "- runs: the function ran, for the owner's data; nothing: it returned nothing, or false; error: it stopped at the made-up values.\n" +
      "- asks: it may be called, looks who calls, and refused this caller.",
    "Nobody but the owner of the tables may truncate one.",
    ...modules.flatMap(section),
  ].join("\n\n");
}

const words: Record<Outcome, string> = {
  yes: "runs",
  row: "runs, nothing",
  failed: "runs, error",
  refused: "asks",
  no: "–",
  broken: "BROKEN",
};

function tableCell(tries: TableTries | undefined): string {
  if (!tries) return "–";
  const parts = acts.flatMap((act) => {
    const outcome = tries.outcomes[act];
    if (outcome === "no") return [];
    const shown =
      outcome === "row"
        ? `(${act})`
        : outcome === "refused"
          ? `[${act}]`
          : outcome === "broken"
            ? `BROKEN ${act}`
            : act;
    return act === "read" && tries.hidden.length > 0
      ? [`${shown} but not ${tries.hidden.map(code).join(", ")}`]
      : [shown];
  });
  return parts.join(", ") || "–";
}
