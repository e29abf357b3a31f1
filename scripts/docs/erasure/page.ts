import type { Key } from "../catalogue";
import type { Markable } from ".";
import { reasons, stays, type ReasonName } from "./list";
import { bare, code, table } from "../pages";

/** What an erasure does not reach by itself, and who must. */
const outside: readonly (readonly [what: string, who: string])[] = [
  [
    "Backups of the stack, and every other dump",
    "Whoever keeps them: they are never removed by the stack. What is restored is erased anew",
  ],
  ["WAL, and copies that are made of it", "They go with their retention; a replica follows at once"],
  [
    "Dead rows and the planner's statistics",
    "`VACUUM` and `ANALYZE`, which autovacuum runs; only a superuser, or the tables' owner, reads them meanwhile",
  ],
  [
    "The server's log",
    "Its rotation. The modules' errors quote no value; with `log_statement` PostgreSQL writes whole statements",
  ],
  ["Files in the storage bucket `medical-docs`", "v6's application, as before: the database holds their path only"],
  [
    "Pulumi's state and the stack's file",
    "The ids of a flag's first users, encrypted in the state: take one out of `guardian:rollout` and `up`",
  ],
  [
    "What was sent to another system",
    "That system. `fhir_api_audit` has the account, the server and the type (GDPR Article 19)",
  ],
];

/** The page of what an erasure takes along, and of what stays and why. */
export function erasurePage(keys: readonly Key[], columns: readonly Markable[]): string {
  const accounts = keys.filter((key) => key.target === "auth.users");
  const tables = [...new Set(columns.map((column) => column.table))];
  const of = (name: string, action: Key["action"]): string =>
    accounts
      .filter((key) => key.table === name && key.action === action)
      .map((key) => code(key.column))
      .join(", ");
  return [
    "<!-- Made by `npm run docs` from the catalogue of a migrated database and scripts/docs/erasure/list.ts. -->",
    "# What an erasure takes, and what stays",
    "Who asks for it (GDPR Article 17) is erased as under v6: his row of `auth.users` is deleted, and the keys of v6 and v7 do the rest, in the archive of a rollback too. An account that v6 only marks (`deleted_at`) is not erased.",
    "A test marks one person, by id, name, address and number, in every column of every schema that takes an id, words, JSON or bytes: in his own rows, in another patient's, in rows of no account. It deletes the account, looks through every column, and wants to find what this page lists and nothing else. A new column that nobody decided about fails it.",
    "## What goes",
    "With the account goes the row, or the account's id in it. A table without either outlives accounts, and has no row that is one person's.",
    table(
      ["Table", "The row goes with", "The id goes from"],
      tables.map((name) => [code(bare(name)), of(name, "CASCADE"), of(name, "SET NULL")]),
    ),
    "While rows wait in `guardian_archive`, an id in the last column stays in another patient's row; it is forgotten as the row comes back.",
    "## What stays, and why",
    ...(Object.keys(reasons) as ReasonName[]).flatMap((name) => section(name)),
    "## Outside the tables",
    table(
      ["Where", "Who sees to it"],
      outside.map((line) => [...line]),
    ),
  ].join("\n\n");
}

function section(name: ReasonName): string[] {
  const { title, why, by } = reasons[name];
  return [
    `### ${title}`,
    why,
    `By: ${by}.`,
    table(
      ["Table", "Columns"],
      Object.entries(stays[name]).map(([of, columns]) => [code(of), columns.split(" ").map(code).join(", ")]),
    ),
  ];
}
