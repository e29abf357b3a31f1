import type { FencedWriter } from "../../engine/database";
import type { Queryable } from "../../engine/base/sql";

/** One transaction that asked for v6's tables. */
export interface Window {
  /** From the asking to the transaction's end, in milliseconds: so long somebody else waits at most. */
  ms: number;
  committed: boolean;
}

/** Times the transactions of a writer from outside, so that an older checkout is measured by the same file. */
export function watchWindows(fenced: FencedWriter): Window[] {
  const windows: Window[] = [];
  const usual = fenced.transaction.bind(fenced);
  fenced.transaction = async <T>(work: (db: Queryable) => Promise<T>): Promise<T> => {
    let asked: number | undefined;
    let committed = false;
    const timed = (db: Queryable): Queryable => ({
      query: (text, values) => db.query(text, values),
      script: (text) => {
        if (text.includes("LOCK TABLE")) asked ??= performance.now();
        return db.script(text);
      },
    });
    try {
      const result = await usual((db) => work(timed(db)));
      committed = true;
      return result;
    } finally {
      if (asked !== undefined) windows.push({ ms: performance.now() - asked, committed });
    }
  };
  return windows;
}
