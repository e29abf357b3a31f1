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
  readonly parts: readonly StoredPart[];
  /** Hash of index.json itself, for the ledger. */
  readonly indexSha256: string;
  /** How long the bucket keeps it from being deleted, in words. */
  readonly retention?: string;
}
