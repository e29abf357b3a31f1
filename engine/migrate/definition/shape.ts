import {
  filled,
  integer,
  like,
  list,
  nearest,
  number,
  optional,
  otherwise,
  record,
  ruled,
  within,
  type Complaint,
  type Value,
} from "../../../spec";
import { slowdownBudget } from "../../../spec/slowdown";

const column = like(/\S/, "a column", "A column.");
const columns = (description: string) => filled(column, description, "a list of columns, not empty");
const relation = like(/\S/, "a relation with its schema", "A relation.");

const sqlFile = like(/^[\w.]+\.sql$/, "a .sql file of this folder", "A SELECT.");

const follow = record(
  {
    table: relation,
    key: columns("Its columns that hold the migration's key, in the key's order."),
    columns: otherwise([], list(column, "Columns that the source reads besides.", "a list of columns")),
    optional: otherwise([], list(column, "The same, of those that not every v6 has.", "a list of columns")),
  },
  "A v6 table whose changes reach the target while the migration runs.",
);
export type Follow = Value<typeof follow>;

const source = record(
  {
    file: sqlFile,
    needs: optional(relation),
    constants: optional(sqlFile),
    counts: otherwise([], list(column, "Boolean columns to count.", "a list of columns")),
    leftOut: optional(column),
    follows: otherwise([], list(follow, "What it reads in v6.", "a list of {table, key, columns}")),
  },
  "Where rows come from.",
);

const keys = record(
  {
    title: like(/\S/, "a sentence", "What it does."),
    module: like(/\S/, "a module", "The module whose table it fills."),
    from: relation,
    key: columns("The key of the table whose keys are walked: unique, not null, ordered."),
    target: relation,
    targetKey: columns("The target's columns that hold the key."),
    columns: columns("Columns that it writes, in order."),
    match: columns("A row of the target that agrees in these is left alone, whatever else it says."),
    batchMs: otherwise(300, within(10, 1000, number("How long one batch should take, in milliseconds."))),
    workers: otherwise(
      2,
      within(1, 8, integer("How many connections may move rows at once, where the server has room.")),
    ),
    slowdown: otherwise(
      slowdownBudget.warn,
      within(0, 100, number("By how much the application may become slower, 0.1 for 10 %.")),
    ),
    sources: filled(source, "The first whose relation is there is used.", "a list of sources, not empty"),
  },
  "A data migration.",
);

export type Definition = Value<typeof keys>;

/** What migration.yaml must be. */
export const definition = ruled(keys, complaints);

/** What the sources read and the engine binds: keys of one length, and columns that are there. */
function complaints({ key, targetKey, columns: written, match, sources }: Partial<Definition>): Complaint[] {
  const long = (columns: readonly string[]): string =>
    `has ${columns.length} column${columns.length === 1 ? "" : "s"}: it must have as many as key, ${key?.length ?? 0}`;
  const found: Complaint[] = [];
  if (key && targetKey && key.length !== targetKey.length) found.push({ path: ["targetKey"], text: long(targetKey) });
  for (const [name, columns] of Object.entries({ targetKey, match })) {
    columns?.forEach((column, i) => {
      if (!written || written.includes(column)) return;
      const text = `is ${column}, none of columns; the nearest is ${nearest(column, written)}`;
      found.push({ path: [name, i], text });
    });
  }
  for (const column of targetKey ?? []) {
    if (!match || match.includes(column)) continue;
    found.push({ path: ["match"], text: `lacks ${column}: every column of targetKey must be in it` });
  }
  sources?.forEach(({ follows }, i) =>
    follows.forEach(({ key: columns }, j) => {
      if (key && key.length !== columns.length) {
        found.push({ path: ["sources", i, "follows", j, "key"], text: long(columns) });
      }
    }),
  );
  return found;
}
