import { readRules } from "../../../engine/mask";
import { ruleNames, rules as words } from "../../../engine/mask/rule";
import { bare, code, table } from "../pages";
import { identifiers } from "./safe-harbor";

const codes = (names: Iterable<string>): string => [...names].map(code).join(", ");

const own = `\`\`\`yaml
# my-rules.yaml, for tables and columns of your own
tables:
  public.appointments:
    id: [id, user_id]
    text: [reason]
    keep: [starts_at]
empty: [public.import_staging]
\`\`\``;

/** docs/masking.md. */
export function maskingPage(): string {
  const { columns, words: kept, codes: coded, keys, empty } = readRules();
  return [
    "<!-- Made by `npm run docs` from sql/masking.yaml, engine/mask/rule.ts and scripts/docs/masking/. -->",
    "# A backup with other values in the place of a person's",
    "`npm run backups -- restore latest --to … --masked` makes the testing environment: the last proven backup, masked by the rules of `sql/masking.yaml`. Rows go from the backup's files through one process into a masked copy of these, which is restored as any backup is, and removed. No server ever holds an original row: not the new database, nor its WAL, its statistics, its replicas. If it fails, nothing was restored yet, and the copy is gone.",
    "A column that the rules do not name is refused before anything is written, with all others and with rules to paste. What follows from rows is made anew by the restore, which tries every constraint: generated columns, indexes, keys, materialised views, statistics. The number of rows stays, and so does what belongs together: an id becomes the same one in every column, path, FHIR reference and JSON. Large objects are empty. Settings of roles and of the database, user mappings and subscriptions, which may hold passwords, stay behind.",
    "## What it promises, and what not",
    "- No text, name, address, number, link, id, token or document of a person is left; a test marks somebody in every column of v6 and v7 and looks for him afterwards, and for every value that was there before.",
    "- The salt is drawn for one run, kept in memory and stored nowhere. Two runs have nothing in common.",
    "- It is **pseudonymised, not anonymous** (GDPR Article 4(5), Recital 26): what is equal stays equal, figures and times stay, texts keep their length. Who knows enough of somebody may find him again. Treat the copy as patients' data; it is no answer to a request for erasure.",
    "- It is no de-identification by HIPAA's Safe Harbor: see below, what is bold.",
    "- Definitions are not masked: comments, defaults, bodies of functions, names of roles.",
    "## The rules",
    table(
      ["Rule", "What becomes of a value", "Of columns of type"],
      ruleNames.map((rule) => {
        const { about, kinds }: { about: string; kinds?: readonly string[] } = words[rule];
        return [code(rule), about, kinds?.map(typesOf).join(", ") ?? "any"];
      }),
    ),
    "Each is said of the elements of an array too, and NULL stays NULL.",
    "Tables of your own are named in a file that is given by `--rules FILE`; it adds to the rules, and changes none of v6 and v7:",
    own,
    "## The identifiers of HIPAA's Safe Harbor",
    "45 CFR 164.514(b)(2)(i):",
    table(
      ["", "Identifier", "What is done with it"],
      identifiers.map((line) => [...line]),
    ),
    "## Column by column",
    table(
      ["Table", "Rule", "Columns"],
      [...columns].flatMap(([name, ruled]) =>
        ruleNames.flatMap((rule, i) => {
          const mine = [...ruled].filter(([, one]) => one === rule).map(([column]) => column);
          const first = ruleNames.slice(0, i).every((before) => ![...ruled.values()].includes(before));
          return mine.length > 0 ? [[first ? code(bare(name)) : "", code(rule), codes(mine)]] : [];
        }),
      ),
    ),
    `Without their rows: ${codes(empty)}.`,
    `Words that \`word\`, \`coded\` and \`sealed\` keep: ${codes(kept)}.`,
    `Keys of JSON under which \`coded\` keeps words of a code: ${codes(coded)}.`,
    `Keys of JSON that \`sealed\` keeps: ${codes(keys)}.`,
  ].join("\n\n");
}

function typesOf(kind: string): string {
  const types: Record<string, string> = {
    text: "`text`, `varchar`, `char`, `citext`",
    uuid: "`uuid`",
    json: "`json`, `jsonb`",
    time: "`date`, `timestamp`, `timestamptz`",
    bytes: "`bytea`",
    bigint: "`bigint`",
  };
  return types[kind] ?? kind;
}
