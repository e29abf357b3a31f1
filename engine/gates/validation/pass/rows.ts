import { join } from "node:path";
import type { ManifestTable } from "../../../backup/manifest";
import { Counted } from "../../faults";
import type { ProvenBackup } from "../proven";
import { keyText, lookUp, whatDiffers, type Changed } from "./compare";
import { eachLines, type Line } from "./lines";
import { tookTooLong, type Portion, type Readings } from "./readings";
import type { Table } from "./table";

/** What became of a table's rows since the backup. */
export interface Rows {
  /** Not there any more. */
  readonly missing: number;
  /** Keys of the first of them. */
  readonly missingKeys: readonly string[];
  /** All of them by their places in the backup's file, which say nothing of a row. */
  readonly missingAt: Counted;
  /** Written anew by somebody since, with other values. */
  readonly written: number;
  /** With other values, though nobody has written them since. */
  readonly changed: number;
  readonly changedRows: readonly Changed[];
  /** All of them, by their places and the names of the columns. */
  readonly changedAt: Counted;
}

/** So many keys are told at most. */
const told = 20;
/** So many rows are looked up by one statement at first, and at most. */
const begin = 500;
const most = 5000;
/** Bytes of rows that are in memory at most, but for a row that has more by itself. */
const mostBytes = 4 * 1024 * 1024;
/** So many rows are compared value by value at once. */
const closely = 50;

/**
 * Compares the rows of one table with those of the backup, a few at a time, in the order in which the backup has them.
 * @param say hears how many rows were compared
 * @throws RangeError where the backup's file has other rows than were counted
 */
export async function compareRows(
  readings: Readings,
  proven: ProvenBackup,
  { table, was }: { table: Table; was: ManifestTable },
  say: (done: number) => void,
): Promise<Rows> {
  const oldest = BigInt(proven.moment.oldestRunning);
  const portion: Portion = { most: begin, ceiling: most };
  const found = { missing: 0, written: 0, changed: 0, done: 0 };
  const [missingKeys, changedRows]: [string[], Changed[]] = [[], []];
  const [missingAt, changedAt] = [new Counted(), new Counted()];
  const suspects: Line[] = [];
  const closer = async (all: boolean): Promise<void> => {
    while (suspects.length >= closely || (all && suspects.length > 0)) {
      const some = suspects.splice(0, closely);
      const changed = await halved(some, (lines) => readings.turn((db) => whatDiffers(db, table, lines, oldest)));
      found.changed += changed.length;
      changedAt.add(...changed.map(({ nth, columns }) => `${nth} (${columns.join(", ")})`));
      changedRows.push(...changed.slice(0, told - changedRows.length));
    }
  };
  const take = async (lines: readonly Line[]): Promise<void> => {
    const looked = await halved(lines, async (some) => [await readings.turn((db) => lookUp(db, table, some), portion)]);
    for (const { missing, differing } of looked) {
      found.missing += missing.length;
      missingAt.add(...missing.map(({ nth }) => String(nth)));
      missingKeys.push(...missing.slice(0, told - missingKeys.length).map((line) => keyText(table, line)));
      const old = differing.filter(({ writtenBy }) => writtenBy < oldest);
      found.written += differing.length - old.length;
      suspects.push(...old.map(({ line }) => line).sort((a, b) => a.nth - b.nth));
    }
    await closer(false);
    found.done += lines.length;
    say(found.done);
  };
  const size = {
    bytes: mostBytes,
    get rows() {
      return portion.most;
    },
  };
  const places = { columns: table.columns.map(({ place }) => place), key: table.key.map(({ place }) => place) };
  const file = join(proven.path, was.file ?? "");
  const rows = await eachLines(file, places, size, take, readings.signal);
  await closer(true);
  if (rows !== was.rows) throw new RangeError(`${rows} rows instead of ${was.rows}`);
  const { missing, written, changed } = found;
  return { missing, missingKeys, missingAt, written, changed, changedRows, changedAt };
}

/** Works with rows, and with half of them at a time where the server ended the statement for its time. */
async function halved<T>(lines: readonly Line[], work: (lines: readonly Line[]) => Promise<T[]>): Promise<T[]> {
  try {
    return await work(lines);
  } catch (err) {
    if (!tookTooLong(err) || lines.length < 2) throw err;
    const half = Math.ceil(lines.length / 2);
    return [...(await halved(lines.slice(0, half), work)), ...(await halved(lines.slice(half), work))];
  }
}
