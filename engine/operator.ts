import type { Progress } from "./base/progress";
import type { ConnectionSettings } from "./connect";
import { Database, type WriteOptions, type FencedWriter } from "./database";
import { engineParameters, type EngineParameters } from "./parameters";
import { identityOf, readLedger, readPhysical, type DatabaseIdentity } from "./ledger/identity";
import { openLedger } from "./ledger/owner";
import { readSteps, type Step } from "./ledger/steps";
import { moveRows, takeBackRows, type Moved, type MoveOptions, type TakenBack } from "./migrate";
import type { Migration } from "./migrate/definition/migration";
import { applyModule, type Applied } from "./module/apply";
import type { Module } from "./module/files/manifest";
import { undoModule } from "./module/undo";

export interface OperatorOptions {
  /** Whose ledger it is, as in URNs: `<stack>::<project>`. */
  stack: string;
  /** The engine's times; the defaults, as the environment changes them, if absent. */
  parameters?: EngineParameters;
  onProgress?: (progress: Progress) => void;
}

/** What may differ from write to write. */
export type Over = Partial<WriteOptions>;

/**
 * One operator of one database without Pulumi, for tools, benchmarks and tests: opens the ledger, applies, undoes, moves and
 * takes back by the calls that the plugin makes (resources/handler.ts), with its URNs.
 */
export class Operator {
  readonly host: Database;
  readonly stack: string;
  /** May be changed on the way. */
  onProgress: (progress: Progress) => void;

  constructor(settings: ConnectionSettings, options: OperatorOptions) {
    this.host = new Database(settings, options.parameters ?? engineParameters());
    this.stack = options.stack;
    this.onProgress = options.onProgress ?? (() => undefined);
  }

  /** The URN of a resource of this stack. */
  urn(kind: string, name: string): string {
    return `urn:pulumi:${this.stack}::guardian-migration:index:${kind}::${name}`;
  }

  /** The database as it is now; ledgerId is "none" where there is no ledger. */
  identity(): Promise<DatabaseIdentity> {
    return this.host.read(async (db) => {
      const [ledger, here] = [await readLedger(db), await readPhysical(db)];
      return identityOf(ledger?.ledgerId ?? "none", here);
    });
  }

  /** One write under the lock. @throws GuardianError as Database.write does */
  async write<T>(kind: string, name: string, work: (fenced: FencedWriter) => Promise<T>, over: Over = {}): Promise<T> {
    return this.host.write(await this.options(kind, name, over), work);
  }

  /** What a write comes with. */
  async options(kind: string, name: string, over: Over = {}): Promise<WriteOptions> {
    return {
      urn: this.urn(kind, name),
      label: `${kind} ${name}`,
      stack: this.stack,
      expect: over.expect ?? (await this.identity()),
      signal: new AbortController().signal,
      onProgress: (progress) => this.onProgress(progress),
      ...over,
    };
  }

  /** Makes the ledger, or opens this stack's. @param adopt the id of another stack's, to take it over @returns its id */
  open(adopt?: string): Promise<string> {
    const work = async (fenced: FencedWriter): Promise<string> =>
      openLedger(fenced, await readPhysical(fenced.writer), adopt);
    return this.write("Ledger", "ledger", work, { expect: "new ledger" });
  }

  /** @param seconds the resource's timeout */
  apply(module: Module, seconds = 60): Promise<Applied> {
    return this.write("SqlModule", module.name, (fenced) => applyModule(fenced, module, Date.now() + seconds * 1000));
  }

  /** @param seconds the resource's timeout @returns how many rows went to the archive */
  undo(name: string, seconds = 60): Promise<bigint> {
    return this.write("SqlModule", name, (fenced) => undoModule(fenced, Date.now() + seconds * 1000));
  }

  /** Runs a data migration. @param values its parameters, as `legacyConsent` gives them */
  move(migration: Migration, values: object, options: MoveOptions = {}, over: Over = {}): Promise<Moved> {
    return this.write("DataMigration", migration.name, (fenced) => moveRows(fenced, migration, values, options), over);
  }

  /** Takes back what a data migration wrote. */
  takeBack(name: string, over: Over = {}): Promise<TakenBack> {
    return this.write("DataMigration", name, takeBackRows, over);
  }

  /** The newest attempt of every part of every resource, oldest first. */
  steps(): Promise<Step[]> {
    return this.host.read(readSteps);
  }

  close(): Promise<void> {
    return this.host.close();
  }
}
