import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import { attempt } from "../ledger/attempt";
import { endApplication, readApplication, requiring, setTexts, type Application } from "../ledger/modules";
import { stackOf } from "../ledger/identity";
import { endKind, endParts, readStep, setStep } from "../ledger/steps";
import type { Queryable } from "../base/sql";
import { prepareArchive, referencedBy, type Departure } from "./archive/archive";
import { countArchived } from "./archive/counted";
import { inventoryVersion, readInventory, schemasOf, stillThere } from "./inventory";
import { dropsOnly } from "./files/down";
import type { Manifest, Module } from "./files/manifest";
import { present } from "./present";
import { countRows, refuseRows, type Counts } from "./rows";
import { looking, runStatements, runTogether } from "./runner";
import { parseFile, type Statement } from "./files/statements";
import { dropsTable, firstTouching } from "./files/touching";
import { withV6Locks } from "./v6-locks";

/**
 * Takes a module back with the down.sql that was recorded when it was applied: the tables under archive go to the archive
 * (empty ones are dropped), down.sql drops the rest, all in one transaction. Idempotent: what is undone stays undone.
 * @returns how many rows wait in the archive now
 * @throws GuardianError if another module still needs it, if something is left over, if v6 locks could not be had
 */
export async function undoModule(fenced: FencedWriter, deadline: number): Promise<bigint> {
  const { urn } = fenced.options;
  const current = await readStep(fenced.writer, urn);
  if (!current) return 0n;
  if (current.state === "undone") return countArchived(fenced, current.physicalId);
  const recorded = await readApplication<Manifest>(fenced.writer, urn);
  if (!recorded) {
    // Begun and never committed: nothing of it is in the database.
    await fenced.transaction((db) => setStep(db, current, { state: "undone" }));
    return 0n;
  }
  await refuseNeeded(fenced.writer, recorded);
  const file = `down.sql of ${recorded.name} (as applied)`;
  const { manifest, applyId } = recorded;
  const gone = await goneByHand(fenced.writer, manifest);
  if (gone.length > 0) fenced.options.onProgress({ phase: "dropped by hand", reason: gone.join(", ") });
  // An older release took a down.sql that drops what the engine takes away.
  const archived = manifest.archive.map((entry) => entry.table);
  const parsed = (await parseFile(file, recorded.down)).filter((statement) => !dropsOnly(statement, archived));
  const statements = gone.length > 0 ? parsed.map(tolerant) : parsed;
  const firstDrop = statements.findIndex(dropsTable);
  const touching = firstTouching(statements, manifest.locks);
  const split = firstDrop < 0 ? touching : Math.min(firstDrop, touching);
  const tables = await ownTables(fenced.writer, manifest);
  const leaving = manifest.archive.filter((entry) => tables.includes(entry.table));
  const referenced = await referencedBy(fenced.writer, tables);
  // While they wait, rows refer to their account: by a key that the table may not have had.
  if (leaving.some(({ subject }) => subject !== undefined)) referenced.push("auth.users");
  let departure: Departure = { uncounted: false, locked: [] };
  let left: readonly string[] = [];
  // DROPs write no rows.
  let counts: Counts | undefined;
  const undoing = { kind: "SqlModule", state: "undoing", meaning: current.meaning ?? undefined } as const;
  await attempt(fenced, undoing, current.state, (step) =>
    withV6Locks(fenced, deadline, {
      relations: [...new Set([...manifest.locks, ...referenced])].sort(),
      mode: "ACCESS EXCLUSIVE",
      own: manifest.objects,
      sql: recorded.down,
      early: true,
      before: async (db) => {
        departure = await prepareArchive(db, applyId, leaving, manifest.objects);
        const before = await countRows(db);
        await runStatements(db, statements.slice(0, split));
        await refuseRows(db, before, manifest, file);
        await endApplication(db, applyId);
        await endParts(db, urn);
        // A flag's row goes with the table: one that the state has forgotten would be taken for changed by hand later on.
        if (manifest.objects.includes("table public.feature_flags")) await endKind(db, "FeatureFlag", stackOf(urn));
        const detail = departure.uncounted ? { uncounted: true } : {};
        await setStep<"SqlModule">(
          db,
          { id: step.id, kind: "SqlModule" },
          { state: "undone", physicalId: applyId, detail },
        );
        // While v6 is locked only these are asked for, which go then.
        left = await stillThere(db, manifest.objects);
        if (!statements.slice(split).every(({ tree }) => "DropStmt" in tree)) counts = await countRows(db);
      },
      locked: (db) => runTogether(db, file, [...departure.locked, ...statements.slice(split)]),
      after: async (db) => {
        if (counts) await refuseRows(db, counts, manifest, file);
        const there = await stillThere(db, left);
        refuseLeftOver(
          recorded,
          manifest.objects.filter((object) => there.includes(object)),
        );
      },
    }),
  );
  return countArchived(fenced, applyId);
}

/** Objects of the module that somebody dropped: a rollback must not stop at what is gone. */
async function goneByHand(db: Queryable, manifest: Manifest): Promise<string[]> {
  const inventory = await readInventory(db, schemasOf(manifest.objects), inventoryVersion, manifest.objects);
  return manifest.objects.filter((object) => !inventory.has(object));
}

/** The same DROP, which passes over what is not there. Only for a module of which something was dropped by hand. */
function tolerant(statement: Statement): Statement {
  const text = statement.text.replace(
    /^(\s*(?:--[^\n]*\n\s*)*DROP\s+(?:TABLE|FUNCTION|VIEW|TRIGGER|POLICY|INDEX|TYPE|SEQUENCE)\s+)(?!IF\s)/i,
    "$1IF EXISTS ",
  );
  return { ...statement, text };
}

/** Tables of the module that are there: one that somebody dropped by hand has nothing to archive. */
async function ownTables(db: Queryable, manifest: Manifest): Promise<string[]> {
  const tables = manifest.objects.flatMap((object) => (object.startsWith("table ") ? [object.slice(6)] : []));
  return present(db, tables);
}

/**
 * What a module's undoing asks first, for who has other work to do before it.
 * @throws GuardianError naming what still needs it
 * @lazily
 */
export async function refuseStillNeeded(fenced: FencedWriter): Promise<void> {
  const recorded = await readApplication<Manifest>(fenced.writer, fenced.options.urn);
  if (recorded) await refuseNeeded(fenced.writer, recorded);
}

async function refuseNeeded(db: Queryable, recorded: Application<Manifest>): Promise<void> {
  const needing = await requiring(db, recorded);
  if (needing.length === 0) return;
  throw new GuardianError("module-needed", {
    what: `module ${recorded.name} is still needed`,
    where: needing.join(", "),
    todo: "roll those back first; the stack does so by itself when a whole stage goes",
  });
}

function refuseLeftOver(recorded: Application<Manifest>, left: readonly string[]): void {
  if (left.length === 0) return;
  throw new GuardianError("objects-left", {
    what: `down.sql of ${recorded.name} leaves objects behind; the rollback was undone`,
    where: left.join(", "),
    todo: [
      `mend sql/${recorded.name}/down.sql, run up (which records it), then roll back again`,
      "if that folder is gone, put it back first, as it was when it was applied: from version control",
    ],
  });
}

/** Records changed texts of down.sql and verify.sql: a down.sql that is broken could else never be mended. */
export async function recordTexts(fenced: FencedWriter, module: Module): Promise<void> {
  await fenced.transaction(async (db) => {
    // It is tried before it is trusted: a verify.sql that refuses what is there is not recorded.
    const file = `sql/${module.name}/verify.sql`;
    await runTogether(db, file, await parseFile(file, module.verify), looking);
    await setTexts(db, fenced.options.urn, module);
  });
}
