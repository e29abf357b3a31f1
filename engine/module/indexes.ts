import { escapeIdentifier } from "pg";
import { lockTimeoutDefault } from "../connect/lock-wait";
import type { FencedWriter } from "../database";
import { fromPostgres, GuardianError } from "../base/errors";
import { addObject } from "../ledger/objects";
import { setStep, type Step } from "../ledger/steps";
import { first, type Queryable } from "../base/sql";
import { inventoryVersion, readInventory } from "./inventory";
import type { Module } from "./files/manifest";
import { parseFile, type Statement } from "./files/statements";

/** One index of indexes.sql. */
export interface IndexPart {
  /** Its part in the ledger. */
  part: string;
  schema: string;
  index: string;
  statement: Statement;
}

/**
 * Reads indexes.sql.
 * @throws GuardianError for anything but CREATE INDEX CONCURRENTLY with a name
 */
export async function indexParts(module: Pick<Module, "name" | "indexes">): Promise<IndexPart[]> {
  const file = `sql/${module.name}/indexes.sql`;
  return (await parseFile(file, module.indexes)).map((statement) => {
    const node = statement.tree["IndexStmt"] as
      { concurrent?: boolean; idxname?: string; relation?: { schemaname?: string } } | undefined;
    if (!node?.concurrent || !node.idxname) {
      throw new GuardianError("sql-invalid", {
        what: "indexes.sql may hold only CREATE INDEX CONCURRENTLY with a name",
        where: `${file}:${statement.line}`,
        todo: "put other statements into up.sql",
      });
    }
    const schema = node.relation?.schemaname ?? "public";
    return { part: `index ${schema}.${node.idxname}`, schema, index: node.idxname, statement };
  });
}

/**
 * Builds a concurrent index, or finds it built. Such a build is no transaction: a killed one leaves an invalid index
 * (PostgreSQL manual, CREATE INDEX), which is judged by pg_index, dropped and built anew.
 */
export async function buildIndex(
  fenced: FencedWriter,
  module: Module,
  part: IndexPart,
  step: Step,
  deadline: number,
): Promise<void> {
  const { writer, options } = fenced;
  const name = `${escapeIdentifier(part.schema)}.${escapeIdentifier(part.index)}`;
  const there = await first<{ valid: boolean }>(
    writer,
    "SELECT indisvalid AS valid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass($1)",
    [name],
  );
  if (!there?.valid) {
    const anew = there ? { reason: "anew: an earlier build was cut off" } : {};
    options.onProgress({ phase: "index", subject: `${part.schema}.${part.index}`, ...anew });
    try {
      const limit = Math.max(1000, deadline - Date.now());
      // A concurrent build waits for every older transaction, which is its way and not a lock in the way.
      await writer.query(
        "SELECT pg_catalog.set_config('statement_timeout', $1, false), pg_catalog.set_config('lock_timeout', '0', false)",
        [String(limit)],
      );
      if (there) await writer.query(`DROP INDEX CONCURRENTLY ${name}`);
      await writer.query(part.statement.text);
    } catch (err) {
      const where = `sql/${module.name}/indexes.sql:${part.statement.line}`;
      throw fromPostgres(err, where, "run this again: an invalid index is found, dropped and built anew");
    } finally {
      await writer.script(`SET statement_timeout = 0; SET lock_timeout = ${lockTimeoutDefault}`).catch(() => undefined);
    }
  }
  await fenced.transaction(async (db) => {
    await recordIndex(db, options.urn, part.part, [part.schema]);
    await setStep(db, step, { state: "done" });
  });
}

/** What module.yaml lists is recorded as it was made, so that what is done to it by hand shows as drift. */
async function recordIndex(db: Queryable, urn: string, object: string, schemas: string[]): Promise<void> {
  const definition = (await readInventory(db, schemas, inventoryVersion, [object])).get(object);
  if (definition !== undefined) await addObject(db, urn, { object, definition, facts: inventoryVersion });
}
