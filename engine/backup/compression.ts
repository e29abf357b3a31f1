import { createReadStream } from "node:fs";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { GuardianError } from "../base/errors";
import { runClient } from "./child";
import type { ClientProgram } from "./client";

/** How pg_dump is asked to compress: method and level, as its --compress takes them from version 16 on. */
export type Compression = "zstd:1" | "gzip:1";

/** Node's reader of zstd, which came with 22.15. */
const zstdReader = (zlib as { createZstdDecompress?: () => Duplex }).createZstdDecompress;

const asked = new Map<string, Promise<boolean>>();

/**
 * The fastest that this client writes and this process reads: the migration waits for the backup. On the way to the disk
 * zstd:1 takes a tenth more time than no compression, gzip:1 four tenths, gzip:6 three times as much.
 * @param readsZstd whether this process does; a test says otherwise
 */
export async function chooseCompression(
  pgDump: ClientProgram,
  readsZstd = zstdReader !== undefined,
): Promise<Compression> {
  if (!readsZstd || pgDump.major < 16) return "gzip:1";
  let known = asked.get(pgDump.path);
  if (!known) asked.set(pgDump.path, (known = writesZstd(pgDump.path)));
  return (await known) ? "zstd:1" : "gzip:1";
}

/**
 * Whether a client was built with zstd: it says so of itself before it connects, and connects to nothing here. (In
 * directory format it would make the folder first; a file in custom format goes where nothing is kept.)
 */
async function writesZstd(path: string): Promise<boolean> {
  const args = ["--format=custom", "--compress=zstd:1", "--file=/dev/null", "--no-password"];
  const { stderr } = await runClient(path, args, { env: { PGHOST: "/dev/null", LC_ALL: "C" } });
  return /connection to server/.test(stderr);
}

/** As the client of this version takes it: before 16 there is gzip alone, by its level. */
export const compressArgument = (compression: Compression, { major }: ClientProgram): string =>
  `--compress=${major < 16 ? compression.replace("gzip:", "") : compression}`;

/**
 * Reads one file of a dump, whatever it is compressed by.
 * @param take takes its pieces, uncompressed
 * @throws GuardianError if this process cannot read it; what zlib throws for a file that is no such thing
 */
export async function readDumped(
  path: string,
  take: (pieces: AsyncIterable<Buffer>) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
  const through = decompressor(path);
  await (through ? pipeline(file, through, take, { signal }) : pipeline(file, take, { signal }));
}

/** What a file of a dump is read through, by its name; nothing if it is not compressed. */
function decompressor(path: string): Duplex | undefined {
  if (path.endsWith(".gz")) return zlib.createGunzip();
  if (path.endsWith(".zst") && zstdReader) return zstdReader();
  if (path.endsWith(".dat")) return undefined;
  throw new GuardianError("backup-failed", {
    what: `this Node (${process.version}) cannot read how the backup is compressed`,
    where: path,
    todo: "run it with Node 22.15 or later, which reads zstd",
  });
}
