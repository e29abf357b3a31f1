import { createHash } from "node:crypto";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readDumped } from "../compression";

/** What is in one file of a dump, uncompressed. */
export interface Digest {
  /** Hexadecimal. */
  readonly sha256: string;
  /** Lines before COPY's own end, each of which is a row. */
  readonly rows: number;
}

/** What pg_dump writes after a table's last row. It is three lines, and no row can hold it: COPY doubles a backslash. */
const copyEnd = "\\.\n\n\n";
const newline = 10;

/** Takes the bytes of one file in pieces. */
class Content {
  readonly #hash = createHash("sha256");
  #lines = 0;
  #bytes = 0;
  #tail: Buffer = Buffer.alloc(0);

  get bytes(): number {
    return this.#bytes;
  }

  /** The table's end was seen; of a large object nothing is known before its file is closed. */
  get ended(): boolean {
    return this.#tail.toString("latin1") === copyEnd;
  }

  add(piece: Buffer): void {
    this.#hash.update(piece);
    for (let at = piece.indexOf(newline); at >= 0; at = piece.indexOf(newline, at + 1)) this.#lines++;
    this.#bytes += piece.length;
    // A copy: the piece's memory is used again.
    this.#tail = Buffer.concat([this.#tail, piece.subarray(-copyEnd.length)]).subarray(-copyEnd.length);
  }

  digest(): Digest {
    return { sha256: this.#hash.digest("hex"), rows: this.#lines - (this.ended ? 3 : 0) };
  }
}

/** Reads one file of a dump, whatever it is compressed by. @throws what zlib throws for a file that is no such thing */
export async function digestFile(path: string, signal: AbortSignal): Promise<Digest> {
  const content = new Content();
  const take = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) content.add(piece);
  };
  await readDumped(path, take, signal);
  return content.digest();
}

/** The data of a dump: tables and large objects, by the name of their file without what tells the compression. */
export const isData = (name: string): boolean => /^(\d+|blob_\d+)\.dat(\.\w+)?$/.test(name);
export const plainName = (name: string): string => name.replace(/(\.dat)\.\w+$/, "$1");

const pieceBytes = 1024 * 1024;

/**
 * Reads the files of an uncompressed dump while they are being written: when the last one is, little is left to do.
 * @param writing ends with the dump; what it throws is thrown
 * @returns digests by file
 */
export async function digestGrowing(folder: string, writing: Promise<void>): Promise<Map<string, Digest>> {
  const contents = new Map<string, Content>();
  const buffer = Buffer.alloc(pieceBytes);
  const catchUp = async (all: boolean): Promise<void> => {
    for (const name of await readdir(folder).catch(() => [])) {
      if (!isData(name)) continue;
      let content = contents.get(name);
      if (!content) contents.set(name, (content = new Content()));
      if (!all && content.ended) continue;
      await readOn(join(folder, name), content, buffer);
    }
  };
  const state = { over: false };
  const end = writing.finally(() => (state.over = true));
  end.catch(() => undefined); // is thrown below, once no file is being read
  while (!state.over) {
    await Promise.race([end.catch(() => undefined), sleep(100)]);
    await catchUp(false);
  }
  await end;
  await catchUp(true);
  return new Map([...contents].map(([name, content]) => [name, content.digest()]));
}

async function readOn(path: string, content: Content, buffer: Buffer): Promise<void> {
  if ((await stat(path)).size <= content.bytes) return;
  const file = await open(path, "r");
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, content.bytes);
      if (bytesRead === 0) return;
      content.add(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
