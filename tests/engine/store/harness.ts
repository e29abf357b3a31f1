import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "../../../engine/backup/manifest";
import { storeBackup } from "../../../engine/store";
import type { StoredPart } from "../../../engine/store/contents";
import type { Owner, WantedStore } from "../../../engine/store/wanted";
import { S3Double } from "../../support/s3";

/** Stands in every file of a made-up backup: what of it is found in the store was not encrypted. */
export const marker = "a patient's own words";

/** A whole backup as dump() leaves it, with little in it; one file is so long that it goes in parts. */
export function makeBackup(
  folder: string,
  name: string,
  big = 9_000_000,
): { name: string; path: string; manifest: Manifest } {
  const path = join(folder, name);
  mkdirSync(join(path, "dump"), { recursive: true, mode: 0o700 });
  const contents: Record<string, Buffer> = {
    "dump/toc.dat": Buffer.from(`${marker} of contents`),
    "dump/3001.dat.gz": Buffer.concat([Buffer.from(marker), randomBytes(big), Buffer.from(marker)]),
    "dump/3002.dat.gz": Buffer.from(marker.repeat(5000)),
    "dump/blobs.toc": Buffer.alloc(0),
    "roles.sql": Buffer.from(`-- ${marker}`),
  };
  const files = Object.entries(contents).map(([file, bytes]) => {
    writeFileSync(join(path, file), bytes, { mode: 0o600 });
    return { path: file, size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
  const manifest: Manifest = {
    formatVersion: 2,
    server: { version: "17.10", systemIdentifier: "7", database: "guardian" },
    ledgerId: "6f1b5f0e-0000-4000-8000-000000000001",
    protects: {},
    startedAt: "2026-11-30T10:00:00.000000Z",
    finishedAt: "2026-11-30T10:00:01.000000Z",
    pgDump: { version: "17.10", jobs: 1, excludedSchemas: [] },
    largeObjects: 0,
    tables: [],
    around: { superuser: "postgres", encoding: "UTF8", tablespaces: {}, facts: {}, members: {} },
    files,
  };
  writeFileSync(join(path, "manifest.json"), `${JSON.stringify(manifest)}\n`, { mode: 0o600 });
  chmodSync(path, 0o700);
  return { name, path, manifest };
}

/** Whose backups these are. */
export const owner: Owner = {
  ledgerId: "6f1b5f0e-0000-4000-8000-000000000001",
  systemIdentifier: "7",
  database: "guardian",
};

/** Stores a made-up backup: what came of it or was thrown, what was warned of, and the parts that a next run goes on from. */
export async function storeOutcome(
  it: ReturnType<typeof makeBackup>,
  to: WantedStore,
  known: readonly StoredPart[] = [],
  onBytes: (bytes: number) => void = () => undefined,
) {
  const warned: string[] = [];
  let kept: readonly StoredPart[] = known;
  const note = (parts: readonly StoredPart[]): Promise<void> => Promise.resolve(void (kept = [...parts]));
  const onProgress = ({ bytes }: { bytes: number }): void => onBytes(bytes);
  const options = { owner, known, note, onProgress, onWarning: (line: string): void => void warned.push(line) };
  const outcome = await storeBackup(it, to, options).catch((err: unknown) => err);
  return { outcome, warned, kept };
}

/** Paths, modes and hashes of all below a folder. */
export function pictureOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    entries.map((entry) => {
      const { mode, isFile } = {
        mode: statSync(join(folder, entry)).mode & 0o777,
        isFile: statSync(join(folder, entry)).isFile(),
      };
      const sha = isFile
        ? createHash("sha256")
            .update(readFileSync(join(folder, entry)))
            .digest("hex")
        : "folder";
      return [entry, `${mode.toString(8)} ${sha}`];
    }),
  );
}

const isolated = { AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" };

/** Has this process log in as a test says, until that is taken back. */
export function logIn(credentials: Readonly<Record<string, string>>): () => void {
  const before = Object.entries({ ...isolated, ...credentials }).map(([name, value]) => {
    const old = process.env[name];
    process.env[name] = value;
    return [name, old] as const;
  });
  return () => {
    for (const [name, old] of before) {
      if (old === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = old;
    }
  };
}

/** The double's bucket, as a stack would declare it. */
export const wantedOf = (double: S3Double, more: Partial<WantedStore>): WantedStore => ({
  to: `s3://${double.bucket}/guardian/prod`,
  recipients: ["none"],
  endpoint: double.endpoint,
  ...more,
});
