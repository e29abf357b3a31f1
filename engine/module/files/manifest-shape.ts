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

/** What module.yaml holds, as far as it fits. */
interface Found {
  requires?: string[];
  locks?: string[];
  objects?: Partial<Record<(typeof objectKinds)[number], string[]>>;
  archive?: { table: string }[];
}

/** What does not fit, and where. */
interface Misfit {
  path: (string | number)[];
  text: string;
}

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
    unknownTables,
  );

/** The same of one that is not applied: what an older release took of one that stands cannot be mended any more. */
export const newManifestOf = (name: string) =>
  ruled(manifestOf(name), (found) => [
    ...unknownTables(found),
    ...misplaced(name, found),
    ...misnamed(found),
    ...twice(found),
  ]);

function unknownTables({ objects, archive }: Found): Misfit[] {
  const known = objects && (!("table" in objects) || objects.table);
  const tables = objects?.table ?? [];
  return (known ? (archive ?? []) : []).flatMap(({ table }, i) => {
    if (tables.includes(table)) return [];
    const near = nearest(table, tables);
    const text = `is ${table}, none of its tables${near && `; the nearest is ${near}`}`;
    return [{ path: ["archive", i, "table"], text }];
  });
}

/** Modules are applied in the order of their names. */
const misplaced = (name: string, { requires = [], locks = [], objects }: Found): Misfit[] => [
  ...requires.flatMap((other, i) => {
    if (other < name) return [];
    return [
      { path: ["requires", i], text: `is ${other === name ? "the module itself" : `${other}, which comes after it`}` },
    ];
  }),
  ...locks.flatMap((table, i) =>
    objects?.table?.includes(table)
      ? [{ path: ["locks", i], text: `is ${table}, a table of its own and none of v6` }]
      : [],
  ),
];

/** A name has at most 63 bytes (PostgreSQL manual, 4.1.1); it stands here without quotes. */
const part = (name: string): boolean => /^[^\s".](?:[^"\n]*[^\s"])?$/.test(name) && Buffer.byteLength(name) <= 63;
const full = (name: string): boolean => name.includes(".") && name.split(".").every(part);
const forms: Readonly<Record<string, readonly [fits: (object: string) => boolean, expected: string]>> = {
  function: [
    (it) => it.endsWith(")") && full(it.slice(0, it.indexOf("("))),
    "a function with its schema and the types of its arguments: public.f(integer, text)",
  ],
  trigger: [(it) => hangs(it), "a trigger on its table: told on public.t"],
  policy: [(it) => hangs(it), "a policy on its table: own on public.t"],
};
const relations = [full, "a name with its schema, without quotes, of at most 63 bytes each: public.t"] as const;

function hangs(object: string): boolean {
  const [, name = "", on = ""] = /^(.*) on ([^ ].*)$/s.exec(object) ?? [];
  return Buffer.byteLength(name) > 0 && Buffer.byteLength(name) <= 63 && full(on);
}

const misnamed = ({ locks = [], objects = {} }: Found): Misfit[] => [
  ...locks.flatMap((name, i) => (full(name) ? [] : [{ path: ["locks", i], text: `must be ${relations[1]}` }])),
  ...objectKinds.flatMap((kind) => {
    const [fits, expected] = forms[kind] ?? relations;
    return (objects[kind] ?? []).flatMap((object, i) =>
      fits(object) ? [] : [{ path: ["objects", kind, i], text: `must be ${expected}` }],
    );
  }),
];

function twice({ requires = [], locks = [], objects = {}, archive = [] }: Found): Misfit[] {
  const lists: [path: (string | number)[], names: string[]][] = [
    [["requires"], requires],
    [["locks"], locks],
    ...objectKinds.map((kind): [string[], string[]] => [["objects", kind], objects[kind] ?? []]),
    [["archive"], archive.map(({ table }) => table)],
  ];
  return lists.flatMap(([path, names]) =>
    names.flatMap((name, i) =>
      names.indexOf(name) < i ? [{ path: [...path, i], text: `is ${name}, which stands there twice` }] : [],
    ),
  );
}
