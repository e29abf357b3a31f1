import type { Progress } from "../../engine/base/progress";
import { Session, Writer } from "../../engine/connect";

/** What is seen of a migration from outside; times in milliseconds. */
export interface Observed {
  /** The row-level comparison of source and target, which a single statement has no equivalent of. */
  proofMs: number;
  /** Pauses because somebody held a v6 table. */
  lockWaitMs: number;
  /** The longest of all transactions, single statements included, from BEGIN to the answer to COMMIT. */
  longestMs: number;
  /** What took the most of it, in words of its SQL. */
  longest: string;
}

interface Statement {
  text: string;
  ms: number;
}

type Query = (this: Session, text: string, values?: readonly unknown[]) => Promise<unknown>;
type Transaction = (this: Writer, work: (db: Writer) => Promise<unknown>) => Promise<unknown>;

/**
 * Times every transaction of this process's sessions, by wrapping the two methods through which all of them go: the
 * engine needs no hook for it, and what is short is not missed as by looking at pg_stat_activity now and then.
 */
export class Observer {
  #observed: Observed = { proofMs: 0, lockWaitMs: 0, longestMs: 0, longest: "" };
  #comparing: number | undefined;
  /** Of each open transaction, its longest statement. */
  readonly #open = new Map<Session, Statement>();
  readonly #sessions = Session.prototype as unknown as { query: Query };
  readonly #writers = Writer.prototype as unknown as { transaction: Transaction };
  readonly #query = this.#sessions.query;
  readonly #transaction = this.#writers.transaction;

  /** Begins to look. */
  begin(): void {
    const [query, transaction] = [this.#query, this.#transaction];
    const end = this.#ended.bind(this);
    const compared = this.#compared.bind(this);
    const open = this.#open;
    this.#sessions.query = async function (text, values) {
      const within = open.get(this);
      const statement: Statement = { text, ms: 0 };
      try {
        return await timed(query.bind(this, text, values), statement);
      } finally {
        compared(text);
        if (!within) end(statement.ms, text);
        else if (statement.ms >= within.ms) Object.assign(within, statement);
      }
    };
    this.#writers.transaction = async function (work) {
      const longest: Statement = { text: "", ms: 0 };
      const whole: Statement = { text: "", ms: 0 };
      open.set(this, longest);
      try {
        return await timed(transaction.bind(this, work), whole);
      } finally {
        open.delete(this);
        end(whole.ms, longest.text);
      }
    };
  }

  #ended(ms: number, text: string): void {
    if (ms > this.#observed.longestMs) Object.assign(this.#observed, { longestMs: ms, longest: inShort(text) });
  }

  /** The comparison begins with its line and ends with the last statement that joins both sides. */
  #compared(text: string): void {
    if (this.#comparing !== undefined && /\bFULL JOIN\b/.test(text)) {
      this.#observed.proofMs = performance.now() - this.#comparing;
    }
  }

  readonly onProgress = ({ phase, againSeconds }: Progress): void => {
    if (phase === "prove") this.#comparing = performance.now();
    this.#observed.lockWaitMs += 1000 * (againSeconds ?? 0);
  };

  /** Ends looking. */
  end(): Observed {
    this.#sessions.query = this.#query;
    this.#writers.transaction = this.#transaction;
    return this.#observed;
  }
}

async function timed<T>(work: () => Promise<T>, into: { ms: number }): Promise<T> {
  const began = performance.now();
  try {
    return await work();
  } finally {
    into.ms = performance.now() - began;
  }
}

/** What a transaction was doing, by its longest statement. */
function inShort(text: string): string {
  if (/\bFULL JOIN\b/.test(text)) return "comparison";
  if (/\brow_number\(\)/.test(text)) return "planning";
  if (/\bWITH written AS\b/.test(text)) return "batch";
  return text.replace(/\s+/g, " ").trim().slice(0, 80);
}
