import { choice, each, like, list, nearest, otherwise, record, ruled, text } from "../../../spec";

/** Kinds of catalogue objects that a module may create, in the order in which they are listed. */
export const objectKinds = ["table", "view", "sequence", "type", "function", "index", "trigger", "policy"] as const;

const relation = like(/\S/, "a relation with its schema", "A relation.");
const archived = record(
  {
    table: relation,
    subject: like(/\S/, "a column, or none", "The column that holds the person; none for an audit."),
    checks: otherwise([], list(text("A trigger."), "Triggers that only check a row.", "a list of its triggers")),
  },
  "A table whose rows are kept by a rollback.",
);

/** What module.yaml must be. */
export const manifestOf = (name: string) =>
  ruled(
    record(
      {
        name: { ...choice([name], "The folder's name."), expected: `the folder's name, ${name}` },
        title: like(/\S/, "a sentence", "What it is for."),
        requires: otherwise([], list(text("A module."), "The modules that must be there.", "a list of modules")),
        locks: otherwise(
          [],
          list(relation, "What its foreign keys and triggers lock in v6.", "a list of v6 relations"),
        ),
        objects: otherwise(
          {},
          each(objectKinds, list(text("An object."), "Objects.", "a list of objects"), "All that it creates."),
        ),
        archive: otherwise([], list(archived, "Tables that a rollback keeps.", "a list of {table, subject}")),
      },
      "A module.",
    ),
    ({ objects, archive }) => {
      const known = objects && (!("table" in objects) || objects.table);
      const tables = objects?.table ?? [];
      return (known ? (archive ?? []) : []).flatMap(({ table }, i) => {
        if (tables.includes(table)) return [];
        const near = nearest(table, tables);
        const text = `is ${table}, none of its tables${near && `; the nearest is ${near}`}`;
        return [{ path: ["archive", i, "table"], text }];
      });
    },
  );
