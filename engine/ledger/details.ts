import type { StepKind } from "./kinds";
import type { Reject } from "./rejects";

/** Why an attempt failed; no row values. */
export interface Failure {
  what: string;
  where: string | null;
  sqlstate: string | null;
}

/** A backup that was taken. */
export interface TakenBackup {
  /** Its folder. */
  path: string;
  /** By the server's clock. */
  takenAt: string;
  bytes: number;
  rows: number;
  tables: number;
}

/** What restoring a backup has shown. */
export interface KeptProof {
  /** The folder of the backup that it is of. */
  path: string;
  verdict: "proven" | "partly proven" | "not proven";
  /** What is not proven, each with the reason. */
  unproven: readonly { readonly table: string; readonly reason: string }[];
  restoreSeconds: number;
  seconds: number;
  /** How many of the copy's indexes were looked at, or why none was. Absent of a release that did not note it. */
  indexes?: { readonly checked: number; readonly lacking?: string };
  /** By what it was restored, for people. Absent of a release that did not note it. */
  how?: string;
  /** When it ended, by the server's clock. */
  provenAt: string;
  /** What the operator accepted of it, with his reason. */
  accepted: Record<string, string>;
  /** Whether changes could rely on it: it was whole, or accepted as it was, and within the time that a restore may take. */
  relied: boolean;
  /** The operator took back since what he had accepted of it, or wants it faster: nothing more relies on it. */
  withdrawn?: boolean;
}

/** A file of a backup that is stored off the machine. */
export interface KeptPart {
  /** In the backup's folder. */
  readonly path: string;
  /** In the backup's folder of the store, encrypted or not. */
  readonly object: string;
  /** Bytes of the object. */
  readonly size: number;
  /** Of the object, hexadecimal. */
  readonly sha256: string;
  /** Of the file that is in it, while it is on its way: the index in the store does not have it. */
  readonly plainSha256?: string;
  /** Which version of the object, in a bucket that keeps them. */
  readonly version?: string;
}

/** A backup that is stored off the machine, or is on its way there. */
interface KeptUpload {
  /** The folder of the backup that it is of. */
  path: string;
  /** Where it is: s3://bucket/prefix/name. */
  at: string;
  /** Hash of who can read it, and of the store's key and server; absent of an earlier release. */
  sealed: string;
  /** What is there: a killed run is gone on with. */
  parts: readonly KeptPart[];
  /** Of the index that was put last. */
  indexSha256: string;
  /** When all was read back, by the server's clock. */
  storedAt: string;
}

/** Faults that a check found, so that others are told from these. */
export interface KeptFaults {
  /** How many there are. */
  readonly count: number;
  /** Of all of them, in their order: the first 128 bits of SHA-256, in hex. */
  readonly hash: string;
  /** Each by a name, or a place in a backup: no value of a row. Absent where there are too many to keep. */
  readonly each?: readonly string[];
  /** So many of them may be nobody's fault: rows that the application deleted itself. */
  readonly allowed?: number;
}

/** What a check of a gate found. No row values: names, counts, times, and keys where rows are missing. */
export interface KeptOutcome {
  /** Its name. */
  readonly check: string;
  /** `could not run` is not passed. The last two come with the reason, which is the evidence. */
  readonly verdict: "passed" | "warned" | "failed" | "could not run" | "not applicable";
  /** What was seen, a line each; names at most as many as one reads. */
  readonly evidence: readonly string[];
  /** What was measured, by name; the name ends in its unit. */
  readonly figures?: Readonly<Record<string, number>>;
  /** What mends it, a line each; of what did not pass. */
  readonly mend?: readonly string[];
  /** By what they are faults of: who accepts them accepts no others. */
  readonly faults?: Readonly<Record<string, KeptFaults>>;
  /** It could not run for a reason that passes by itself: it is worth asking again though nothing was changed. */
  readonly again?: boolean;
  /** How long it took. */
  readonly seconds: number;
}

/** A check that failed, and was accepted as it was then: it is void once it is worse. */
export interface KeptAcceptance {
  /** The operator's words. Others are another acceptance. */
  readonly reason: string;
  /** By the server's clock. */
  readonly at: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly evidence: readonly string[];
  readonly faults?: Readonly<Record<string, KeptFaults>>;
}

/** What a gate has said, and by what. */
interface KeptJudgement {
  /** Which gate: before, schema, data, end. */
  gate: string;
  verdict: "ready" | "ready with warnings" | "not ready";
  /** When that was, by the server's clock. Absent: nothing was ever asked. */
  judgedAt: string;
  /** It was passed by since, on the way back, or where nothing was to come: it is asked once something is. */
  waived: boolean;
  outcomes: readonly KeptOutcome[];
  /** Modules and data migrations that it was asked for, each with its meaning. */
  judged: Readonly<Record<string, string>>;
  /** Check → what was accepted of it; kept though it passes again. */
  accepted: Readonly<Record<string, KeptAcceptance>>;
}

/** What a stack owns of a row of public.feature_flags. */
export interface FlagValues {
  enabled: boolean;
  /** 0 to 100. */
  rolloutPercentage: number;
  enabledForUsers: string[];
  configuration: Record<string, unknown>;
  /** Of a flag that the stack declares. Module 001 describes its own. */
  description?: string | undefined;
}

/** A data migration that began: enough to take it back without its files. */
export interface RecordedMigration {
  name: string;
  module: string;
  from: string;
  key: string[];
  target: string;
  targetKey: string[];
  /** Types of the key's columns. */
  types: string[];
  /** The v6 tables that its triggers were on. */
  follows: string[];
  batchMs: number;
  slowdown: number;
}

/** What a data migration said at its cut-over; numbers of rows as text. */
export interface MigrationOutcome {
  /** Rows that the source offers. */
  source: string;
  /** Rows of the migration that were compared with v6 and found equal. */
  equal: string;
  /** Sum of their hashes. */
  checksum: string;
  /** For each of the source's counts, in how many rows it is true. */
  counted: Record<string, number>;
  /** Rows that the source leaves out on purpose, by reason. */
  leftOut: Record<string, number>;
  written: string;
  /** The same for the session's row. */
  processed: string;
  failed: number;
  rejects: Reject[];
}

interface MigrationDetail extends MigrationOutcome {
  /** Something may be committed of it. */
  begun: boolean;
  /** Hash of text and parameters that it began with. */
  asked: string;
  constants: object;
  sourceFile: string;
  plan: RecordedMigration;
  /** Mark of the triggers on v6, by which it is known that none was ever off; absent of one that an older release began. */
  followed: string;
  /** Rows taken back, through all attempts, and rows that stay; as text. */
  removed: string;
  kept: string;
}

/** What the ledger keeps of a kind of work beside its state; nothing of kinds that are not here. */
interface Details {
  /**
   * `protects`: names of modules and migrations → their meanings. `processed` is for the session's row. `verify`: what the
   * operator asked for; absent of a release that proved nothing. `refuted`: a proof found that it differs.
   * `manifestSha256`: of its manifest.json, which has the hashes of all its files; absent of a release that did not note it.
   */
  Backup: TakenBackup & {
    protects: Record<string, string>;
    processed: number;
    verify: "restore" | "list";
    refuted: boolean;
    manifestSha256: string;
  };
  Gate: KeptJudgement;
  proof: KeptProof;
  upload: KeptUpload;
  DataMigration: MigrationDetail;
  /**
   * `before`: what was there when the values were written, whoever wrote that; absent of a release that did not note it.
   * `writtenAt`: when the values were written, by the server's clock; absent of a release that did not note it.
   * `acknowledged`: the emergency rollbacks that were acknowledged when this stack switched something on after them.
   * `made`: this stack made the row.
   */
  FeatureFlag: {
    values: FlagValues;
    before: FlagValues;
    writtenAt: string;
    acknowledged: readonly string[];
    made: boolean;
  };
  /** Of one that is undone: the rows of its archived tables are estimated, and still to be counted. Absent: they are counted. */
  SqlModule: { uncounted: boolean };
  /** Publications that new tables may join. */
  Ledger: { publications: string[] };
  /**
   * Rows that were given up, and the role that did so. Of rows that came back: how many the table refused, and a hash of
   * how these stood in the archive then.
   */
  rows: { lost: number; by: string; refused: number; seen: string };
}

/** The same as it stands in a row: what the work has come to so far, and why it failed if it did. */
export type Detail<K extends StepKind> = (K extends keyof Details ? Partial<Details[K]> : unknown) & {
  error?: Failure;
  /** Of a resource: how often it was undone before this began. Absent: never, or the ledger is of a release that did not count. */
  life?: number;
  /** Of a resource: how often a create found it there and took it over. */
  adoptions?: number;
  /** Of a resource that an update began anew: the id that Pulumi's state holds on to. Absent: the one that these two make. */
  heldAs?: string;
};
