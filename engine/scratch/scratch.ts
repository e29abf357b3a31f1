import type { ConnectionSettings } from "../connect";

/** A server on which a backup is restored, and which is gone afterwards. What is in it are patients' data. */
export interface Scratch {
  /** Superuser (embedded) or the configured role; database is the maintenance database. */
  readonly settings: ConnectionSettings;
  readonly kind: "embedded" | "configured";
  /** An embedded one that has a network, because the system gives it no other. */
  readonly networked?: boolean;
  /** Major version. */
  readonly major: number;
  /**
   * Makes an empty database; on a configured server one of a name of our own, which alone is touched. Dropped by close().
   *
   * @throws GuardianError if it cannot be made
   */
  createDatabase(name: string): Promise<ConnectionSettings>;
  /** Takes away all that was made. May be called twice. */
  close(): Promise<void>;
}

export interface ScratchOptions {
  /** Major version of the server that was dumped: what another one says of itself cannot be compared. */
  readonly major: number;
  /** Bytes that will be written there. */
  readonly bytes: number;
  /** A server of the operator's (guardian:scratch); absent: an embedded one. */
  readonly configured?: ConnectionSettings | undefined;
  /** Whose backup it is; the same one never has two databases on a configured server. */
  readonly owner: string;
  /** The server that was dumped, by pg_control_system(): it is nobody's scratch. */
  readonly systemIdentifier: string;
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined;
  /** Gets a line of what is worth knowing, such as a folder that could not be removed. */
  readonly say?: ((line: string) => void) | undefined;
}
