/** What restoring a backup has shown. */
export interface Proof {
  readonly verdict: "proven" | "partly proven" | "not proven";
  /** What is not proven, each with the reason: tables, indexes, roles. Empty if all is. */
  readonly unproven: readonly Unproven[];
  /** From the first role to the last index: what being back takes on a machine such as this one. */
  readonly restoreSeconds: number;
  /** Of the whole proof. */
  readonly seconds: number;
  /** Not looked at, they leave the verdict as it is: no backup holds an index, and a restore makes each anew. */
  readonly indexes: CheckedIndexes;
  /** Of the backup's files. */
  readonly bytes: number;
  readonly rows: number;
}

/** What amcheck saw of the copy's indexes. */
export interface CheckedIndexes {
  /** B-trees that it looked at. */
  readonly checked: number;
  /** Why it looked at none; absent where it did. */
  readonly lacking?: string;
}

export interface Unproven {
  /** `schema.table`, or what else it is: `index public.i`. */
  readonly table: string;
  readonly reason: string;
}

/** What a proof is at; said when it changes and every other second. */
export interface ProofProgress {
  readonly phase: "hashing" | "restoring" | "dumping again" | "comparing" | "checking indexes";
  /** Since the proof began. */
  readonly seconds: number;
}

/** Which database and ledger a backup must be of, and how young it must be, where that is known. */
export interface Belonging {
  readonly ledgerId?: string;
  readonly systemIdentifier?: string;
  readonly database?: string;
  /** When something was last applied or undone there (timestamptz as text). */
  readonly since?: string | undefined;
  /** What its manifest.json was when it was taken, as the ledger has it. */
  readonly manifestSha256?: string | undefined;
}

export interface ProofOptions {
  /** Tables that are restored and dumped again at the same time. */
  readonly jobs: number;
  /** Ends what runs, and removes what was written. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: ProofProgress) => void;
  /** Gets what somebody should look at, and what stops nothing. */
  readonly onWarning?: (line: string) => void;
  readonly belongsTo?: Belonging;
  /** For PATH and GUARDIAN_PG_BIN. Default: the process's. */
  readonly env?: NodeJS.ProcessEnv;
}
