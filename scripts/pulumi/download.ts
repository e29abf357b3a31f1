import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { progress, type Log } from "./log";
import { askVersion, pinned } from "./versions";

/**
 * Where the official release is: the archive and the SHA-256 sums come from two places, so that one of them alone
 * cannot pass off another archive. (pulumi/pulumi, .github/workflows/sign.yml and release.yml)
 */
export interface ReleaseAddresses {
  archive: (file: string) => string;
  sums: string;
  /** No answer within this time means: no network here, or a firewall that drops packets. */
  answerMs: number;
}

export const official: ReleaseAddresses = {
  archive: (file) => `https://get.pulumi.com/releases/sdk/${file}`,
  sums: `https://github.com/pulumi/pulumi/releases/download/v${pinned}/pulumi-${pinned}-checksums.txt`,
  answerMs: 5_000,
};

/** An archive that stops arriving for so long is given up. */
const stalledMs = 30_000;

/** What of the archive is kept: the engine, the Node language host beside it, and what policy packs need. */
const kept = ["pulumi", "pulumi-language-nodejs", "pulumi-resource-pulumi-nodejs", "pulumi-analyzer-policy"];

/**
 * Downloads the pinned release for this machine into the folder, checked against its published SHA-256 sum; the engine
 * is renamed into place last.
 * @throws Error with one sentence that says why it could not be had
 */
export async function download(folder: string, log: Log, from: ReleaseAddresses = official): Promise<void> {
  const file = archiveName();
  const scratch = join(folder, `.partial-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  try {
    const sum = sumOf(await (await get(from.sums, from.answerMs)).text(), file);
    const archive = join(scratch, file);
    const bytes = await save(await get(from.archive(file), from.answerMs), archive, log);
    const found = await sha256(archive);
    if (found !== sum) {
      throw new Error(`${file} (${bytes} bytes) has SHA-256 ${found}, published is ${sum}: it is not used`);
    }
    await promisify(execFile)("tar", ["-xzf", archive, "-C", scratch, "--strip-components=1"]);
    const engine = join(scratch, "pulumi");
    if ((await askVersion(engine, process.env)) !== pinned) throw new Error("the downloaded pulumi does not run here");
    for (const name of kept.toReversed()) {
      if (existsSync(join(scratch, name))) renameSync(join(scratch, name), join(folder, name));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @throws Error where there is no official release that this project runs on */
function archiveName(): string {
  const system = { linux: "linux", darwin: "darwin" }[process.platform as string];
  const processor = { x64: "x64", arm64: "arm64" }[process.arch as string];
  if (!system || !processor) throw new Error(`there is no release for ${process.platform}-${process.arch}`);
  return `pulumi-v${pinned}-${system}-${processor}.tar.gz`;
}

async function get(address: string, answerMs: number): Promise<Response> {
  const host = new URL(address).host;
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), answerMs);
  try {
    const response = await fetch(address, { signal: giveUp.signal });
    if (!response.ok) throw new Error(`answered ${response.status} to ${new URL(address).pathname}`);
    // From here on the body may take its time: the signal must not fire any more.
    return response;
  } catch (err) {
    if (giveUp.signal.aborted) throw new Error(`${host} did not answer within ${answerMs / 1000} s`, { cause: err });
    throw new Error(`${host}: ${reason(err)}`, { cause: err });
  } finally {
    clearTimeout(timer);
  }
}

/** What fetch throws says only "fetch failed"; the network's own words are in its cause. */
function reason(err: unknown): string {
  if (!(err instanceof Error)) return String(err);
  return err.cause instanceof Error ? err.cause.message : err.message;
}

function sumOf(sums: string, file: string): string {
  const line = sums.split("\n").find((candidate) => candidate.trim().endsWith(file));
  const sum = /^[0-9a-f]{64}(?=\s)/.exec(line ?? "")?.[0];
  if (!sum) throw new Error(`the published sums do not list ${file}`);
  return sum;
}

async function save(response: Response, path: string, log: Log): Promise<number> {
  if (!response.body) throw new Error("the answer was empty");
  const total = Number(response.headers.get("content-length") ?? 0);
  let bytes = 0;
  let beat = Date.now();
  const stalled = new AbortController();
  const watch = setInterval(() => Date.now() - beat > stalledMs && stalled.abort(), 1000);
  const mb = (n: number): string => (n / 1e6).toFixed(0);
  const done = progress(log, (s) => `downloading pulumi ${pinned} (${s} s, ${mb(bytes)} of ${mb(total)} MB)`);
  try {
    const counted = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        beat = Date.now();
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body), counted, createWriteStream(path), { signal: stalled.signal });
    return bytes;
  } catch (err) {
    if (!stalled.signal.aborted) throw err;
    throw new Error(`the download stopped for ${stalledMs / 1000} s after ${mb(bytes)} MB`, { cause: err });
  } finally {
    clearInterval(watch);
    done();
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
