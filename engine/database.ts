import { connectWriter, dropSpare, type ConnectionSettings, type ServerInfo, type Writer } from "./connect";
import { GuardianError, sqlstateOf } from "./base/errors";
import { describeRaise, raiseFormat } from "./ledger/format";
import {
  databaseRenamed,
  describe,
  identityOf,
  isCopied,
  isRenamed,
  isSame,
  readLedger,
  readPhysical,
  type DatabaseIdentity,
  type LedgerRow,
  type Physical,
} from "./ledger/identity";
import { takeLock } from "./ledger/lock";
import { holdEpoch, keepLease, raiseEpoch } from "./ledger/lease";
import { readSteps, type Step } from "./ledger/steps";
import type { Queryable } from "./base/sql";
import type { Progress } from "./base/progress";
import { repeated } from "./base/status";
import { pulumiCommand } from "../spec";
import { endingWith, Reads } from "./reads";
import { engineParameters, type EngineParameters } from "./parameters";
import { v6Untouched } from "./untouched";

/** What a write comes with. */
export interface WriteOptions {
  urn: string;
  /** What is done, for pg_stat_activity. */
  label: string;
  stack: string;
  /** The database that the state belongs to; "new ledger" where the ledger is being made. */
  expect: DatabaseIdentity | "new ledger";
  /** Of an update: the id in Pulumi's state, which what it begins anew keeps. */
  heldAs?: string;
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
}

/** A writer that holds the lock, and the epoch by which its transactions are fenced. */
export class FencedWriter {
  /** True once the ledger itself was dropped: nothing can be recorded any more. */
  purged = false;

  constructor(
    readonly writer: Writer,
    readonly epoch: string,
    readonly options: WriteOptions,
    readonly parameters: EngineParameters = engineParameters(),
  ) {}

  /**
   * One transaction, in which no newer operator can have taken over: the ledger's row is locked FOR SHARE, so that the
   * epoch cannot rise before it ends.
   * @throws what the work throws; GuardianError v6-write where it wrote to a table of v6: it is rolled back then
   */
  transaction<T>(work: (db: Queryable) => Promise<T>): Promise<T> {
    return this.writer.transaction(async (db) => {
      await holdEpoch(db, this.epoch);
      return work(db);
    });
  }
}

/** So many sessions may be lost by standing still under v6's locks; the last one's error is thrown. */
const sessions = 3;

/**
 * What one piece of work keeps when it goes on with a new session: its epoch. If another operator took over meanwhile, it is
 * not the newest any more, and the work is refused.
 */
interface Turn {
  epoch?: string;
}

/** The database of one plugin process: reads in read-only transactions, writes one at a time under the lock. */
export class Database {
  readonly #reads: Reads;
  #memo = new Map<string, Promise<unknown>>();
  #writes: Promise<unknown> = Promise.resolve();
  /**
   * The id of the ledger that the program takes over (guardian:adopt), once the Ledger resource was asked: in a preview it
   * is still the other stack's, or that of the database's former name.
   */
  adopts: string | undefined;

  constructor(
    readonly settings: ConnectionSettings,
    readonly parameters: EngineParameters = engineParameters(),
  ) {
    this.#reads = new Reads(settings);
  }

  /** Facts about the server; refuses poolers, standbys and servers too old. Asked once a process. */
  server(): Promise<ServerInfo> {
    return this.#reads.server();
  }

  /** Runs a read-only transaction, one at a time. Nothing in it can write: the server refuses. */
  read<T>(work: (db: Queryable) => Promise<T>): Promise<T> {
    return this.#reads.read(work);
  }

  /** A read that is done once until this process writes: a no-op `up` asks the same for every resource. */
  cached<T>(key: string, work: (db: Queryable) => Promise<T>): Promise<T> {
    const found = this.#memo.get(key) as Promise<T> | undefined;
    return this.#shared(found ?? this.#remember(key, this.read(work)), () => this.cached(key, work));
  }

  /**
   * The same on a session of its own, beside what is read meanwhile: for what takes long and is begun before anybody asks.
   * Where no second connection is to be had, it takes its turn.
   */
  ahead<T>(key: string, work: (db: Queryable) => Promise<T>): Promise<T> {
    const found = this.#memo.get(key) as Promise<T> | undefined;
    return this.#shared(found ?? this.#remember(key, this.#reads.aside(work)), () => this.ahead(key, work));
  }

  /** Another call that began a read may have been stopped, and this one not. */
  #shared<T>(found: Promise<T>, again: () => Promise<T>): Promise<T> {
    const signal = endingWith.getStore();
    return found.catch((err: unknown) => {
      if (!(err instanceof Error) || err.name !== "AbortError" || signal?.aborted) throw err;
      return again();
    });
  }

  #remember<T>(key: string, found: Promise<T>): Promise<T> {
    this.#memo.set(key, found);
    found.catch(() => {
      if (this.#memo.get(key) === found) this.#memo.delete(key);
    });
    return found;
  }

  /** What was read may be old now. */
  forget(): void {
    this.#memo.clear();
  }

  /** The ledger and the physical database, asked once until the next write. */
  whereabouts(): Promise<{ ledger: LedgerRow | undefined; here: Physical }> {
    return this.cached("whereabouts", async (db) => ({ ledger: await readLedger(db), here: await readPhysical(db) }));
  }

  /** The newest steps of the ledger, asked once until the next write; none where there is no ledger. */
  async steps(): Promise<Step[]> {
    const { ledger } = await this.whereabouts();
    return ledger ? this.cached("steps", readSteps) : [];
  }

  /**
   * Refuses a state that belongs to another database.
   * @throws GuardianError saying which database the state is of, and which this is
   */
  async assertSame(expected: DatabaseIdentity): Promise<void> {
    const { ledger, here } = await this.whereabouts();
    assertIdentity(expected, ledger, here, this.adopts);
  }

  /**
   * Runs one piece of work under the lock of this database; pieces of one process take turns. A ledger of an older format
   * is brought up to ours before it, so that whatever writes knows one format only. Where the server ended the
   * session because it stood still in a transaction, the work is begun anew as the next `up` would: it goes on from what
   * the ledger says.
   */
  write<T>(options: WriteOptions, work: (fenced: FencedWriter) => Promise<T>): Promise<T> {
    const turn = this.#writes.then(() => this.#write(options, work));
    this.#writes = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    await this.#writes.catch(() => undefined);
    await this.#reads.close();
    await dropSpare(this.settings);
  }

  async #write<T>(given: WriteOptions, work: (fenced: FencedWriter) => Promise<T>): Promise<T> {
    given.signal.throwIfAborted();
    const status = repeated(given.onProgress);
    const options = { ...given, onProgress: status.say };
    const turn: Turn = {};
    try {
      for (let tries = 1; ; tries++) {
        try {
          return await this.#underLock(options, work, turn);
        } catch (err) {
          if (sqlstateOf(err) !== "25P03" || tries === sessions || given.signal.aborted) throw err;
          options.onProgress({ phase: "new session" });
        }
      }
    } finally {
      status.end();
    }
  }

  async #underLock<T>(options: WriteOptions, work: (fenced: FencedWriter) => Promise<T>, turn: Turn): Promise<T> {
    const { label, signal, onProgress } = options;
    const writing = { detail: label, signal, onWait: onProgress, untouched: v6Untouched };
    const writer = await connectWriter(this.settings, writing);
    const lease = keepLease(writer, this.parameters.lease);
    let raise: string | undefined;
    try {
      await takeLock(writer, {
        stack: options.stack,
        patience: this.parameters.patience,
        lease: this.parameters.lease,
        signal: options.signal,
        onWait: (holder, waitedSeconds) =>
          onProgress({ phase: "operator", reason: `held by ${holder}`, waitedSeconds }),
      });
      if (options.expect !== "new ledger") {
        const ledger = await readLedger(writer);
        assertIdentity(options.expect, ledger, await readPhysical(writer), this.adopts);
        turn.epoch = await raiseEpoch(writer, options.label, this.parameters, turn.epoch);
        raise = ledger && describeRaise(ledger.format);
      }
      const fenced = new FencedWriter(writer, turn.epoch ?? "0", options, this.parameters);
      if (raise !== undefined) {
        onProgress({ phase: "ledger format", reason: raise });
        await fenced.transaction(raiseFormat);
      }
      return await work(fenced);
    } finally {
      lease.end();
      this.forget();
      await writer.close();
    }
  }
}

function assertIdentity(
  expected: DatabaseIdentity,
  ledger: LedgerRow | undefined,
  here: Physical,
  adopts: string | undefined,
): void {
  if (isSame(expected, ledger, here, adopts)) return;
  if (ledger && isRenamed(ledger, here) && isSame(expected, ledger, here, ledger.ledgerId))
    throw databaseRenamed(ledger, here);
  const found = !ledger
    ? `database ${here.database} of cluster ${here.systemIdentifier}, which has no ledger`
    : isCopied(ledger, here)
      ? `${describe(identityOf(ledger.ledgerId, here))}, a copy of database ${ledger.database} of cluster ${ledger.systemIdentifier}`
      : describe(identityOf(ledger.ledgerId, here));
  throw new GuardianError("state-of-another-database", {
    what: "this stack's state belongs to another database; nothing was changed here",
    where: `state: ${describe(expected)}; connected to: ${found}`,
    todo: [
      "point the connection (guardian:database, PGHOST, PGPORT, PGDATABASE, PGSERVICE) at the state's own database",
      `to migrate the database that you are connected to, use a stack of its own: ${pulumiCommand("stack init <name>")}`,
      `if the state's database is gone for good: ${pulumiCommand("stack rm <name> --force --preserve-config")}`,
    ],
  });
}
