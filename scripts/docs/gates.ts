import { gates } from "../../engine/gates";
import { gateNames, type Gate } from "../../spec/gates";
import type { Check } from "../../engine/gates/check";
import { keptFaults } from "../../engine/gates/faults";
import { criteriaPart } from "./criteria";
import { performancePart } from "./gates-performance";
import { table } from "./pages";

/** What a check that calls functions does, and what stays of it. */
const trials = [
  "## How function is tried",
  "The checks from `consent-flow` to `operations` call v7's functions as people, workers and operators do, for an account and a document that are " +
    "chosen by reading, in a transaction that is never committed: it has a session of its own, which knows no COMMIT and refuses " +
    "every statement that begins, ends or prepares a transaction, and it is rolled back whatever happens; where the process or the " +
    "connection is killed, the server does it. It waits 50 ms for a lock, tries once more after a second, and then could not run; where the application " +
    "has deleted the account or the document meanwhile, it tries others. A statement has 5 s. Persons are asked as `authenticated` with their claims where this role is a member of it, else with their claims alone, " +
    "which the evidence says. What flags are set to plays no part: `flag-share` makes a flag of its own, and `care-team-journey` " +
    "switches its feature on for two accounts, inside the trial.",
  "Nothing is written to v6, so its triggers do not fire: before the rollback each check asks the server what the transaction wrote, " +
    "and fails where a function wrote to a table of v6, or to a partition of one. Where somebody's own trigger hangs on a table of v7, and is not disabled, they " +
    "could not run, and name it: a webhook that it calls would have the trial's row, and no rollback takes that back.",
  "What a rollback does not take back: transaction ids, WAL and dead rows of v7's tables, their statistics, and the mark that a " +
    "foreign key leaves at the account, document or result that it looks up; whoever deletes one of these meanwhile waits for the " +
    "trial's second. v7 has no sequences. NOTIFY is not sent, and advisory locks are let go.",
];

/** Where each stands. */
const titles: Readonly<Record<Gate, string>> = {
  before: "`gate-before`: after the backup, before the first module",
  schema: "`gate-schema`: after the schema stage",
  data: "`gate-data`: after the data stage",
  end: "`gate-end`: after the flags, before the session is completed",
};

const costs: Readonly<Record<Check["cost"], string>> = {
  catalogue: "preview, `up`, `npm run gates`",
  queries: "`up`, `npm run gates`",
  pass: "an `up` that changes its stage",
};

/** How the checks of a gate come to what they say, where that is not plain. */
const how: Readonly<Partial<Record<Gate, readonly string[]>>> = {
  schema: [
    "v7's tables are empty here: a role of the API that passes row security is seen by `permissions` and `consent-flow`; `strangers` and " +
      "`sampled-users` see it once there are rows, at the end.",
  ],
  data: [
    "The side before is the backup that was proven before the schema stage (where a run was cut off in the data stage and a later one took " +
      "another, the first of them): its rows are read from its files, and each is looked up by its key in v6's table, some at a time, in short transactions, as slowly as the throttle of data migrations wants it. " +
      "`v6-rows`, `v6-cells` and `v6-written` share this one pass; production is not read a second time for the side before.",
    "What the application did meanwhile is no alarm. A row that it **added** is extra. A row that it **changed** was written (`xmin`) by a " +
      "transaction that had not ended when the backup's snapshot was taken; other values in a row that is older than that are damage. " +
      "Rows that it **deleted** are told by how many the server counted for the table (`n_tup_del`) since just before the snapshot: " +
      "it counts deletions that were rolled back too, and of rows that are younger than the backup, so that the loss that is told " +
      "is the least that there can be. Where rows are missing and a session is at work that may not have told its deletions yet, or " +
      "`track_counts` is off, it could not run. Rows that are missing beyond that are lost: by TRUNCATE, a dropped partition, a damaged page or " +
      "index. Where the statistics were set to 0 meanwhile (`pg_stat_reset`, a crash) and rows are missing, it could not run.",
    "`guardian:gates.maxDataLoss` means the same here as in a data migration: the share of one table's rows, or of one migration's, that " +
      "may be missing. More fails; less warns, and names the keys, where these are uuids or numbers. No other value of a row is told.",
    "It could not run, and says why, for a backup that was only listed (`guardian:backup.verify: list`), whose files are gone or changed, " +
      "or that an older release took; for a table without a primary key or another unique index of columns that are NOT NULL; for a table whose lock somebody holds for " +
      "more than a minute; and where the database's encoding is not UTF8.",
    "`v6-written` knows the migration's transactions by what the ledger recorded and by the rows of the ledger that they wrote. A deletion " +
      "leaves no row that it could see, and a row that is written in a subtransaction (a PL/pgSQL block with EXCEPTION) bears another id: so each " +
      "transaction of the migration asks the server, in the statement before its COMMIT that is sent anyway, whether it wrote a row of v6 or of a partition of it " +
      "(`pg_stat_get_xact_tuples_inserted` and its like), up and down; one that did is rolled back, with `v6-write` as its code. " +
      "TRUNCATE counts no row, and is a loss that `v6-rows` tells. Where `track_counts` is off, `v6-written` could not run. In a cluster that has given out more than " +
      "2^32 transaction ids (`pg_current_xact_id()` is 4294967296 or more), a row that was frozen long ago may bear the number of one " +
      "of the migration's: where one does, it could not run, and where `guardian:strict` is true that stops until it is accepted by name.",
  ],
};

/** @returns docs/gates.md: what gates do, and every check */
export function gatesPage(): string {
  return [
    "<!-- Made by `npm run docs` from engine/gates. -->",
    "# Gates",
    "A gate is a resource at the boundary of a stage: a list of checks, each executed, with its evidence. Each ends as passed, warned, failed, " +
      "could not run (which is not passed) or not applicable, with what was seen, what was measured and what mends it. They stand in the " +
      "ledger (steps of the kind Gate), in the session's steps and in the resource's outputs. No row value is in them.",
    "## What a gate does",
    [
      "- **In `up`** a failed check stops it before the next stage, with `gate-failed`: what failed, measured against what, and three ways on: " +
        "mend it, accept it, or roll back. A warning goes on; so does what could not run, but where `guardian:strict` is true. " +
        "A gate at the end that fails leaves the session open.",
      "- **What comes after a gate asks the ledger by itself** (its input `behind`), besides Pulumi's own order: a module, a data migration, a flag that is " +
        "raised and the session's end are refused with `gate-unpassed` where a gate ahead of them did not pass, was not asked or was passed by, " +
        "or where something was applied or moved, or for `gate-end` a flag changed, since it was asked; a plain `up` then asks it. So `up --target`, `--exclude` or a deleted state leads past " +
        "none. What is done already is not asked about, nor is a flag that is lowered. That the configuration has other limits or acceptances " +
        "than the gate was asked with is seen by the gate alone.",
      "- **While `gate-end` stands failed no flag is raised** (`flag-held`): flags are written before it is asked. Mend or accept what failed, then `up` " +
        "without raising anything, which asks it again, and raise once it has passed; or roll back. Lowering is always free. An emergency " +
        "rollback that somebody has acknowledged since says that the cause is mended. `preview` says of each flag whether it is held.",
      '- **Accept** by name: `guardian:accept: {"row-security": "why"}`. The reason stands in the diff and in the ledger, with the figures as they were. ' +
        "Once these are worse (where there are none, or each line names a fault: once there is a new one, told or not), the acceptance is void, " +
        "at every gate that has the check; another reason accepts anew. A change by hand (`definitions`) each module's own `up` refuses besides, whatever is accepted. What is accepted of `neighbours`, `rights`, `backup-room`, `v6-rows`, `v6-cells`, `v6-written` and `v6-definitions` " +
        "are those objects and rows and no others, though there be no more of them: neighbours by what the evidence says of them, what is lacking one by one, rows by their places in the backup, objects of v6 with a hash of " +
        "what they are like now. The same holds of `api-endpoints` and `external-systems`: each endpoint with what was wrong with it; " +
        "and of `performance`: those queries, up to the share by which the slowest was slower. " +
        `Of more than ${keptFaults} only a hash of all is kept: any other set of them voids it.`,
      "- **Unchanged, it reads nothing.** It is asked anew when what it judges changes (modules and data migrations, by meaning), the limits " +
        "(`guardian:gates`), what is accepted, or its list of checks; and the one at the end when flags do. What failed the last time is asked again, and " +
        "what could not run for a reason that passes, such as a lock or a time limit. " +
        "`gate-before` is asked again where something is still to come and its answer is older than `guardian:backup.maxAge`.",
      "- **A flag** asks `gate-end` alone, and nothing that reads whole tables: what such a check said of the same modules and limits stands where it passed.",
      "- **In preview** only checks of the catalogue run, of a gate that would be made or changed and whose stage is there; it says what would " +
        "stop `up`, and never fails by it. Of every gate after the first it also says what will stop it whatever becomes of what it " +
        "judges: with `guardian:strict` a membership, a sign-off or a baseline that is lacking.",
      "- **A flag that must go down at once** waits for no gate: `emergency_rollback_to_v6()`, or `up --target` with the flag's URN. A plain `up` " +
        "comes to the flags after `gate-schema` and `gate-data`, and not at all where one of them does not pass.",
      "- **The way back waits for none**: lowering `guardian:through` and `destroy` ask nothing, unless the same run adds a module or a data migration. A stack of an earlier release gets its gates as " +
        "creates; `gate-before` is then not asked, since nothing that it stands before is to come.",
      "- **A criterion of rollback** (the guide's section 8, below) that is met by a failed check stops `up` as any other. With " +
        "`guardian:onBreach: rollback` it also sets the flags that were written since `gate-end` was last passed back to what they were then, " +
        "by whatever `up` they were written and never on for more than they are, in one transaction, names those that are on still, and records " +
        "an emergency rollback: nothing is switched on until `guardian:acknowledge` names it. No row and no module is touched. What only the " +
        "clock finds slower does not do that, nor what nobody has signed off, nor an endpoint that gives no answer or was as wrong before.",
      "- **Baselines** of `gate-before` are measured while the schema stage does not stand, and kept from then on.",
    ].join("\n"),
    "`npm run gates` asks the same at any time, of the stack that is selected, and leaves nothing behind; `--json` has the figures too. " +
      "It decides as `up` would, by `guardian:accept` and `guardian:strict`; of what reads whole tables it says what the last `up` said. " +
      "Exit code 0: ready; 3: ready with warnings; 1: not ready.",
    ...gateNames.flatMap((gate) => {
      const checks: readonly Check[] = gates[gate];
      const rows = checks.map(({ name, asks, cost }) => [`\`${name}\``, asks, costs[cost]]);
      return [
        `## ${titles[gate]}`,
        ...(how[gate] ?? []),
        rows.length > 0 ? table(["Check", "It asks", "In"], rows) : "No check yet.",
      ];
    }),
    ...performancePart,
    ...trials,
    ...criteriaPart(),
  ].join("\n\n");
}
