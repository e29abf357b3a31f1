import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import { quoteName, rows, type Queryable } from "../base/sql";
import { attempt } from "../ledger/attempt";
import type { Waiting } from "../ledger/archived";
import { addApplication, standingModules } from "../ledger/modules";
import { forgetRejects } from "../ledger/rejects";
import { addStep, setStep, type StepOf } from "../ledger/steps";
import { refuseUnfit } from "./archive/fit";
import { partOf } from "./archive/lost";
import { archivedNumbers, raiseSequences, type Numbers } from "./archive/sequences";
import { waitingFor } from "./archive/waiting";
import { refuseHarm, type Module } from "./files/manifest";
import { parseFile, parseFiles, type Statement } from "./files/statements";
import { mentions, parted, type Parts } from "./files/touching";
import { joined } from "./files/up-files";
import { indexParts } from "./indexes";
import { recordInventory, schemasOf } from "./inventory";
import { refuseUnlisted, whatIsThere, willMake, type Before } from "./made";
import { present } from "./present";
import { countRows, refuseRows, type Counts } from "./rows";
import { looking, runStatements, runTogether } from "./runner";
import { withV6Locks } from "./v6-locks";
import { withPartitions } from "./v6/relations";
import { verifyEarly } from "./verify";

/**
 * Makes a module, verifies and records it, in one transaction. v6 is locked at its end, for the foreign keys and triggers on
 * v6's tables and for what is to be said of exactly these; all else is made, verified and recorded before. Only a file that
 * goes on with its own objects after it has locked v6 runs under the locks from there on, with its verification.
 * @param deadline Unix time in milliseconds until which v6 locks are tried for
 * @throws GuardianError for a missing requirement, a file that takes from others, a failed statement with its line, a
 *   manifest that differs, v6 locks that could not be had
 */
export async function deploy(fenced: FencedWriter, module: Module, deadline: number): Promise<void> {
  await requireModules(fenced.writer, module);
  await refuseHarm(module);
  const parts = parted(await parseFiles(module.up), module.locks);
  const verify = await parseFile(`sql/${module.name}/verify.sql`, module.verify);
  const later = (await indexParts(module)).map((part) => part.part);
  const said = { kind: "SqlModule", state: "running", meaning: module.meaning } as const;
  await attempt(fenced, said, "planned", async (step) => {
    let making: Making | undefined;
    await withV6Locks(fenced, deadline, {
      relations: module.locks,
      mode: "SHARE ROW EXCLUSIVE",
      own: module.objects,
      sql: joined(module.up),
      before: (db) => (making = new Making(fenced, module, parts, verify, later, step)).before(db),
      locked: async (db) => making?.locked(db),
    });
  });
}

/** One try to make a module. */
class Making {
  #applyId = "";
  /** What was there before the first statement. */
  #there: Before = new Map();
  /** What was written before the statements under the locks, if these may write rows. */
  #counts: Counts | undefined;
  /** What is made under the locks, as far as the statements' own words tell. */
  readonly #soon: readonly string[] | undefined;
  /** The file, or the folder, that makes it, as errors name it. */
  readonly #up: string;
  /** Archived tables whose own ones are made under the locks, with what their sequences are raised past. */
  readonly #unraised: [Waiting, Numbers][] = [];
  /** Objects that are recorded under the locks. */
  #late: readonly string[] = [];
  /** Statements of verify.sql for the locked time. */
  #unverified: readonly Statement[];

  constructor(
    readonly fenced: FencedWriter,
    readonly module: Module,
    readonly parts: Parts,
    readonly verify: readonly Statement[],
    /** Objects that are made after the transaction. */
    readonly later: readonly string[],
    readonly step: StepOf<"SqlModule">,
  ) {
    this.#unverified = verify;
    this.#up = module.up.length === 1 ? (module.up[0]?.file ?? "") : `sql/${module.name}/up`;
    this.#soon = willMake(parts.locking, module.objects);
  }

  /** What needs no v6 lock. */
  async before(db: Queryable): Promise<void> {
    const { module, parts } = this;
    this.#there = await whatIsThere(db);
    const counts = await countRows(db);
    await runStatements(db, parts.own);
    await refuseRows(db, counts, module, this.#up);
    if (this.#soon) await refuseUnlisted(db, this.#there, module, this.later, this.#soon);
    await refuseUnfit(db, module.archive, module.objects);
    await this.#addApplication(db);
    this.#late = parts.apart ? await lateObjects(db, module, parts) : module.objects;
    const early = module.objects.filter((object) => !this.#late.includes(object));
    await this.#record(db, early);
    if (parts.apart && module.locks.length > 0) this.#unverified = await verifyEarly(db, this.verify);
    if (!parts.apart) this.#counts = await countRows(db);
  }

  /** What is done while v6 is locked, in as few round trips as can be. */
  async locked(db: Queryable): Promise<void> {
    const { module, parts } = this;
    await runTogether(db, `sql/${module.name}`, parts.locking);
    if (this.#counts) await refuseRows(db, this.#counts, module, this.#up);
    await runTogether(db, `sql/${module.name}/verify.sql`, this.#unverified, looking);
    for (const [table, numbers] of this.#unraised) await raiseSequences(db, table, numbers);
    if (!this.#soon) await refuseUnlisted(db, this.#there, module, this.later);
    // Keys between tables under archive may close a circle.
    const between = parts.locking.some(
      ({ tree }) => module.archive.filter(({ table }) => mentions(tree, table)).length > 1,
    );
    if (!this.#soon || between) await refuseUnfit(db, module.archive, module.objects);
    await this.#record(db, this.#late);
  }

  /** Records the application and what is still to come; the transaction's end makes it true. */
  async #addApplication(db: Queryable): Promise<void> {
    const { urn } = this.fenced.options;
    const { up, down, verify, ...manifest } = { ...this.module, yaml: undefined };
    const named = { urn, name: this.module.name, manifest };
    this.#applyId = await addApplication(db, { ...named, up: joined(up), down, verify });
    const waiting = await waitingFor(
      db,
      this.module.archive.map((entry) => entry.table),
    );
    const made = await present(
      db,
      waiting.map((table) => table.original),
    );
    for (const table of waiting) {
      await forgetRejects(db, table.archivedAs);
      const numbers = await archivedNumbers(db, table);
      if (made.includes(table.original)) await raiseSequences(db, table, numbers);
      else this.#unraised.push([table, numbers]);
    }
    const steps = [
      ...this.later.map((part) => ({ part, kind: "index" as const })),
      ...waiting.map((table) => ({ part: partOf(table), kind: "rows" as const })),
    ];
    for (const { part, kind } of steps) await addStep(db, { urn, part, kind, state: "planned" });
    await setStep(db, this.step, { state: "done", physicalId: this.#applyId, meaning: this.module.meaning });
  }

  /** Records objects as the catalogue describes them. Indexes that are built later are recorded then. */
  async #record(db: Queryable, objects: readonly string[]): Promise<void> {
    if (objects.length === 0) return;
    await recordInventory(db, this.#applyId, schemasOf(objects), objects);
  }
}

/** @returns objects of the module that the statements under the locks make or change: tables with their partitions, triggers */
async function lateObjects(db: Queryable, module: Module, { keyed }: Parts): Promise<string[]> {
  const found = await rows<{ object: string }>(
    db,
    `${withPartitions}
     SELECT 'table ' || n.nspname || '.' || c.relname AS object FROM kin JOIN pg_catalog.pg_class c ON c.oid = kin.oid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
    [keyed.map(quoteName)],
  );
  const tables = found.map((row) => row.object);
  const onV6 = module.locks.map((relation) => ` on ${relation}`);
  return module.objects.filter(
    (object) => tables.includes(object) || (object.startsWith("trigger ") && onV6.some((end) => object.endsWith(end))),
  );
}

async function requireModules(db: Queryable, module: Module): Promise<void> {
  const there = await standingModules(db);
  const missing = module.requires.filter((name) => !there.includes(name));
  if (missing.length === 0) return;
  throw new GuardianError("requirement-missing", {
    what: `module ${module.name} needs ${missing.join(", ")}, which this database does not have`,
    where: `sql/${module.name}/module.yaml, requires`,
    todo: "apply them first: they are part of an earlier step of the stack",
  });
}
