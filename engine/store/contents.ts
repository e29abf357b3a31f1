import { GuardianError } from "../base/errors";
import type { KeptPart } from "../ledger/details";
import type { Owner } from "./wanted";

/**
 * What is in a backup's folder of the store:
 * - owner.json, put first: whose it is;
 * - the backup's files, each encrypted by itself, `.age` after its name, manifest.json among them;
 * - index.json, put last: what belongs to it. A folder without it is half an upload;
 * - former.json, while a whole one is stored anew: the index that it had. Its files may be all that there is of that backup.
 *
 * Owner and index are not encrypted: they hold names of files, sizes and hashes.
 */
export const ownerFile = "owner.json";
export const indexFile = "index.json";
export const formerFile = "former.json";

/** The longest index that is read, in bytes. */
export const longestIndex = 64 * 1024 * 1024;

export type StoredPart = KeptPart;

export interface StoreIndex {
  readonly formatVersion: 1;
  /** Of the backup and of its folder. */
  readonly name: string;
  readonly owner: Owner;
  /** When the backup was taken, by the server's clock. */
  readonly takenAt: string;
  readonly encryption: "age" | "none";
  /** Who can read it. */
  readonly recipients: readonly string[];
  /** Hash of who can read it, and of the store's key and server (`sealOf`); absent of an earlier release. */
  readonly sealed?: string;
  readonly parts: readonly StoredPart[];
}

/** The files that a backup consists of: anything else in an index was not put there by this product. */
const known = /^(manifest\.json|proof\.json|roles\.sql|dump\/[A-Za-z0-9_-][A-Za-z0-9._-]*)$/;

/**
 * @param name of the folder that it is in
 * @param where s3://…/index.json
 * @throws GuardianError for what is no index, names files outside a backup's folder, or is of another backup
 */
export function parseIndex(text: string, name: string, where: string): StoreIndex {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken("is not JSON, or is cut off", where);
  }
  const index = (typeof value === "object" && value !== null ? value : {}) as Partial<
    Record<keyof StoreIndex, unknown>
  >;
  if (index.formatVersion !== 1) throw broken("is not of format version 1", where);
  const parts: unknown = index.parts;
  const { encryption, recipients, owner } = index;
  const texts = [index.name, index.takenAt].every((one) => typeof one === "string");
  const sound = texts && (encryption === "age" || encryption === "none") && Array.isArray(recipients) && isOwner(owner);
  if (!sound || !Array.isArray(parts) || !parts.every(isPart)) throw broken("lacks parts", where);
  if (!parts.some(({ path }) => path === "manifest.json")) throw broken("names no manifest.json", where);
  if (new Set(parts.map(({ path }) => path)).size < parts.length) throw broken("names a file twice", where);
  const outside = parts.find(({ path, object }) => !known.test(path) || object !== objectOf(path, encryption));
  if (outside) throw broken("names a file that is none of a backup's", where);
  // Else what is read is what stands in a folder that the index chooses.
  if (index.name !== name) throw broken("is of another backup", where);
  return value as StoreIndex;
}

/** Whether an object of a backup's folder is one of its files, encrypted or not. */
export const isFile = (object: string): boolean => known.test(object.replace(/\.age$/, ""));

/** The name that a file has in the store. */
export const objectOf = (path: string, encryption: StoreIndex["encryption"]): string =>
  encryption === "age" ? `${path}.age` : path;

function isPart(value: unknown): value is StoredPart {
  const part = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof StoredPart, unknown>>;
  const texts = [part.path, part.object, part.sha256].every((one) => typeof one === "string");
  return texts && typeof part.size === "number" && (part.version === undefined || typeof part.version === "string");
}

function isOwner(value: unknown): value is Owner {
  const owner = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof Owner, unknown>>;
  return [owner.ledgerId, owner.systemIdentifier, owner.database].every((one) => typeof one === "string");
}

/** @returns whether a text is the mark of this owner */
export function isMark(text: string | undefined, owner: Owner): boolean {
  try {
    const found: unknown = JSON.parse(text ?? "");
    return (
      isOwner(found) &&
      found.ledgerId === owner.ledgerId &&
      found.systemIdentifier === owner.systemIdentifier &&
      found.database === owner.database
    );
  } catch {
    return false;
  }
}

function broken(what: string, where: string): GuardianError {
  return new GuardianError("backup-broken", {
    what: `the index of a stored backup ${what}`,
    where,
    todo: ["take another backup", "see who writes to this bucket besides"],
  });
}
