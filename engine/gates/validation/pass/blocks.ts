import { blocksOf, scan, type Scanned } from "./compare";
import { tookTooLong, type Portion, type Readings } from "./readings";
import type { Table } from "./table";

/** Blocks that one statement reads at first, and at most: 256 MiB. */
const begin = 1024;
const most = 32_768;

/**
 * Reads a table to its end, some blocks at a time: how many rows it has, and which of them the migration's own transactions
 * wrote. Rows that are written meanwhile may be counted twice, or not.
 * @param ours the migration's transactions, as xmin shows them
 */
export async function readBlocks(
  readings: Readings,
  table: Pick<Table, "quoted"> & Partial<Pick<Table, "key" | "plain">>,
  ours: readonly string[],
): Promise<Scanned> {
  const portion: Portion = { most: begin, ceiling: most };
  const sum = { rows: 0, ours: 0 };
  const keys: string[] = [];
  const add = (found: Scanned): void => {
    sum.rows += found.rows;
    sum.ours += found.ours;
    keys.push(...found.keys);
  };
  for (let from = 0; ;) {
    const blocks = await readings.turn((db) => blocksOf(db, table));
    if (from >= blocks) return { ...sum, keys };
    const to = Math.min(blocks, from + portion.most);
    try {
      add(await readings.turn((db) => scan(db, table, { from, to }, ours), portion));
      from = to;
    } catch (err) {
      if (!tookTooLong(err) || portion.most < 2) throw err;
      portion.most = Math.ceil(portion.most / 4);
    }
  }
}
