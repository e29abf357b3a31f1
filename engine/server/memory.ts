import { statfsSync } from "node:fs";
import { freemem } from "node:os";

const gigabyte = 2 ** 30;

/** statfs(2): the file system is in memory. */
const tmpfs = 0x01021994;

/** Bytes that two servers of the tests, which run at once, stay far below. */
const wanted = 4 * gigabyte;

/**
 * A folder whose files are in memory, where this machine has one with room. A database that is made and dropped is some 300
 * files: on a disk, half of the processor's time goes into these.
 *
 * @param at where Linux has it; a container's is often small
 */
export function memoryFolder(at = "/dev/shm"): string | undefined {
  try {
    const { type, bavail, bsize } = statfsSync(at);
    const free = Math.min(freemem(), process.constrainedMemory() || Infinity); // 0: nobody said a limit
    return type === tmpfs && bavail * bsize >= wanted && free >= 2 * wanted ? at : undefined;
  } catch {
    return undefined; // no Linux
  }
}
