import type { Manifest } from "../backup/manifest";
import type { StoredPart } from "./contents";
import type { Owner } from "./wanted";

/** What storing a backup is at. */
export interface StoreProgress {
  readonly phase: "uploading" | "reading back";
  /** Bytes so far, and all of them. */
  readonly bytes: number;
  readonly total: number;
  readonly seconds: number;
}

/** A backup on this machine, whole. */
export interface Whole {
  readonly name: string;
  readonly path: string;
  readonly manifest: Manifest;
}

export interface StoreOptions {
  readonly owner: Owner;
  /** What an earlier run stored of it, by the ledger. */
  readonly known: readonly StoredPart[];
  /** Keeps what is stored so far. */
  readonly note: (parts: readonly StoredPart[]) => Promise<void>;
  readonly onProgress: (progress: StoreProgress) => void;
  readonly onWarning: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Stored {
  /** s3://bucket/prefix/name. */
  readonly at: string;
  /** Bytes of all objects. */
  readonly bytes: number;
  readonly parts: readonly StoredPart[];
  /** Hash of index.json itself, for the ledger. */
  readonly indexSha256: string;
  /** How long the bucket keeps it from being deleted, in words. */
  readonly retention?: string;
}
