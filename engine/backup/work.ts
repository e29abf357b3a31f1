import type { ConnectionSettings, Reader } from "../connect";
import type { ClientProgram } from "./client";
import type { Compression } from "./compression";
import type { PartialFolder } from "./folder";
import type { BackupProgress } from "./progress";
import type { Room } from "./room";

/** What is to be backed up, and where to. */
export interface DumpOptions {
  readonly settings: ConnectionSettings;
  /** Where backups go; made if need be. */
  readonly directory: string;
  /** Tables that pg_dump writes at the same time; each takes a connection. */
  readonly jobs: number;
  /** Not in the backup: a restored ledger lies. */
  readonly excludeSchemas: readonly string[];
  readonly ledgerId: string;
  readonly protects: Readonly<Record<string, string>>;
  readonly onProgress?: (progress: BackupProgress) => void;
  /** Ends pg_dump and removes what was written. */
  readonly signal?: AbortSignal;
  /** What it and its proof will write: refused if it does not fit. Absent: a warning, by the database's size. */
  readonly room?: Room;
  /** For PATH and GUARDIAN_PG_BIN. Default: the process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Seconds that pg_dump waits for a lock. Default 60. */
  readonly lockWait?: number;
}

/** What one run works with. */
export interface Work {
  readonly reader: Reader;
  readonly pgDump: ClientProgram;
  readonly compression: Compression;
  readonly folder: PartialFolder;
  readonly stop: AbortController;
  readonly signal: AbortSignal;
}
