import { GuardianError } from "../base/errors";
import { runClient } from "./child";
import { type ClientProgram, clientBeside } from "./client";
import { clientFailure } from "./messages";
import type { TableRef } from "./tables";

export interface CountedTable extends TableRef {
  readonly rows: number;
}

/**
 * Has pg_restore read the dump's table of contents, and looks for every counted table in it.
 *
 * @param dump  the folder that pg_dump wrote.
 * @returns by the oid of a table the dump's number for its rows, which is the name of their file
 * @throws GuardianError if pg_restore cannot read it, or rows of a table are not in it.
 */
export async function checkContents(
  dump: string,
  pgDump: ClientProgram,
  tables: readonly CountedTable[],
  options: { readonly env: Record<string, string>; readonly signal?: AbortSignal | undefined },
): Promise<ReadonlyMap<number, string>> {
  const path = await clientBeside("pg_restore", pgDump);
  const result = await runClient(path, ["--list", dump], options);
  if (result.code !== 0) throw clientFailure("pg_restore --list", result, dump);
  // "<dump id>; 0 <table's oid> TABLE DATA <schema> <table> <owner>"
  const dumped = new Map(
    [...result.stdout.matchAll(/^(\d+); \d+ (\d+) TABLE DATA /gm)].map(
      ([, id = "", oid]) => [Number(oid), id] as const,
    ),
  );
  const absent = tables.filter((table) => table.rows > 0 && table.extension === null && !dumped.has(table.oid));
  if (absent.length === 0) return dumped;
  throw new GuardianError("backup-incomplete", {
    what: `pg_dump left out the rows of ${absent.map((table) => `${table.schema}.${table.table}`).join(", ")}`,
    where: dump,
    todo: "find out why (pg_restore --list shows what is in it); no migration without a whole backup",
  });
}
