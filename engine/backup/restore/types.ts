import type { ConnectionSettings } from "../../connect";
import type { TocEntry } from "../prove/toc";

/** A database that a stack migrates, or that the backup is of: it is written to only if it is told by name. */
export interface LiveDatabase {
  readonly systemIdentifier: string;
  readonly database: string;
}

/** What was not done, or is otherwise than in the backup. No value of a setting is in it. */
export interface Left {
  readonly what: string;
  readonly why: string;
}

export interface RestoreProgress {
  readonly phase: "hashing" | "roles" | "restoring" | "comparing" | "finishing";
  /** Since the restore began. */
  readonly seconds: number;
}

interface CommonOptions {
  /** The name of a database that may be written to though it is live. */
  readonly live?: string | undefined;
  /** Databases that are live, besides the one that the backup is of. */
  readonly liveDatabases: readonly LiveDatabase[];
  /** Ends what runs. What it had restored stays, and is named. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: RestoreProgress) => void;
  /** Gets what somebody should look at, and what stops nothing. */
  readonly onWarning?: (line: string) => void;
  /** For PATH and GUARDIAN_PG_BIN. Default: the process's. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface RestoreOptions extends CommonOptions {
  /** Tables that are restored, and dumped again to compare them, at the same time. */
  readonly jobs: number;
  /** False: no role, membership or setting of a role is made; those that the backup needs must be there. */
  readonly roles: boolean;
  /** False: everything belongs to who restores, who need be no superuser. Default: to whom it did. */
  readonly owners?: boolean;
  /** The name of a database that may be restored into though it is not empty. */
  readonly intoNonempty?: string | undefined;
  /** Goes without extensions that the server lacks: what hangs on them is left out and named. */
  readonly withoutExtensions?: boolean;
  /** Of a masked backup: what of the dump is not restored, since it may be a secret; nor is anything set for roles or the database. */
  readonly leavesOut?: (entry: Pick<TocEntry, "kind">) => boolean;
  /**
   * Runs once the content is in and was compared, before the database gets its name and its settings: what it changes was
   * compared before. If it throws, the restore has failed.
   */
  readonly afterContent?: (settings: ConnectionSettings) => Promise<void>;
}

export type TableOptions = CommonOptions;

/** What a restore has done, and what of the backup is not there. */
export interface Restored {
  /** "host:port/database as user". */
  readonly where: string;
  readonly database: string;
  /** Roles that were made. */
  readonly roles: readonly string[];
  /** Of these, the ones that log in: a backup holds no password. */
  readonly passwords: readonly string[];
  /** Empty: the database equals the one that was dumped. */
  readonly left: readonly Left[];
  readonly tables: number;
  readonly rows: number;
  readonly largeObjects: number;
  /** From the first role to the last index. */
  readonly restoreSeconds: number;
  /** With the comparison. */
  readonly seconds: number;
}

export interface RestoredTable {
  readonly where: string;
  /** As the backup has it. */
  readonly table: string;
  /** Where it is now, quoted for SQL. */
  readonly name: string;
  readonly rows: number;
  readonly left: readonly Left[];
  readonly seconds: number;
}
