import { createHash } from "node:crypto";
import { readDumped } from "../compression";

const newline = 10;
const tab = 9;
const end = Buffer.from("\\.");

/**
 * A table's rows without their order, from one file of a dump: the sum of the SHA-256 of each line, modulo 2^256, so that
 * no more than one row is ever in memory and two equal rows do not cancel.
 * @param order places of the columns, where they stand in another order than in the file it is compared with
 * @returns the sum, hexadecimal
 */
export function sumOfLines(path: string, signal: AbortSignal, order?: readonly number[]): Promise<string> {
  return sumOf((take) => readDumped(path, take, signal), order);
}

/** The same of whatever comes in pieces. @param read hands the pieces over */
export async function sumOf(
  read: (take: (pieces: AsyncIterable<Buffer>) => Promise<void>) => Promise<void>,
  order?: readonly number[],
): Promise<string> {
  let sum = 0n;
  let rest: Buffer = Buffer.alloc(0);
  let over = false;
  const line = (bytes: Buffer): void => {
    // COPY's own end; empty lines come after it.
    if (bytes.equals(end)) over = true;
    if (!over)
      sum = BigInt.asUintN(256, sum + BigInt(`0x${createHash("sha256").update(ordered(bytes, order)).digest("hex")}`));
  };
  const take = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) {
      const bytes = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
      let from = 0;
      for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
        line(bytes.subarray(from, at));
        from = at + 1;
      }
      rest = bytes.subarray(from);
    }
  };
  await read(take);
  return sum.toString(16);
}

/** A tab in a value is written as \t, so that every tab parts two columns (manual, COPY, Text Format). */
function ordered(line: Buffer, order: readonly number[] | undefined): Buffer {
  if (!order) return line;
  const columns: Buffer[] = [];
  let from = 0;
  for (let at = line.indexOf(tab); at >= 0; at = line.indexOf(tab, from)) {
    columns.push(line.subarray(from, at));
    from = at + 1;
  }
  columns.push(line.subarray(from));
  const parted = order.flatMap((place, i) => [
    ...(i > 0 ? [Buffer.from("\t")] : []),
    columns[place] ?? Buffer.alloc(0),
  ]);
  return Buffer.concat(parted);
}
