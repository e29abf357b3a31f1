import { some, type Check, type Finding } from "../check";
import { Counted, faultsOf } from "../faults";
import { nothingToJudge, passOf, type Pass, type Passed } from "./pass";
import { soundBut } from "./proven";

/** What became of one table. */
interface Judged {
  readonly line: string;
  /** Rows that are missing beyond what the application can have deleted. */
  readonly lost: number;
  /** Of the table's own rows: a share of all would hide a small table behind a large one. */
  readonly share: number;
  readonly unknown: boolean;
  /** It is unknown for a reason that passes by itself. */
  readonly again?: boolean;
}

/**
 * Guide 3.3, "complete, extra data, data loss", with what the guide lacks: the number before. It is the proven backup's, whose
 * rows are looked up by their keys. A row that is missing was deleted by the application as far as the server counted
 * deletions since: it counts those too that were rolled back, or that were of rows of a later date, so that what is lost
 * is at least what is told. A row whose key was changed is missing under the key that it had.
 */
export const rows: Check = {
  name: "v6-rows",
  asks: "whether each row of v6 that the proven backup has is still there, unless the application deleted it",
  cost: "pass",
  worse: ["lostRows", "unknownTables"],
  async run(site) {
    const pass = await passOf(site, "v6-rows");
    const nothing = nothingToJudge(pass);
    if (nothing) return nothing;
    const { maxDataLoss } = site.declared.limits;
    const judged = pass.tables.map(judge);
    const sum = (of: (table: Passed) => number): number => pass.tables.reduce((all, table) => all + of(table), 0);
    const sumOf = (of: "missing" | "written") => sum(({ rows: found }) => (typeof found === "object" ? found[of] : 0));
    const lost = judged.reduce((all, one) => all + one.lost, 0);
    const share = Math.max(...judged.map((one) => one.share));
    const figures = {
      beforeRows: sum(({ before = 0 }) => before),
      nowRows: sum(({ now }) => now?.rows ?? 0),
      missingRows: sumOf("missing"),
      deletedRows: sum(({ deleted }) => (typeof deleted === "number" ? deleted : 0)),
      lostRows: lost,
      lostShare: share,
      writtenRows: sumOf("written"),
      unknownTables: judged.filter(({ unknown }) => unknown).length,
    };
    // What is lost is told first: of many lines the first are kept.
    const order = [...judged].sort((a, b) => b.share - a.share || Number(b.unknown) - Number(a.unknown));
    const evidence = [...some(order.map(({ line }) => line)), ...(pass.gap === undefined ? [] : [pass.gap])];
    const mend = lost > 0 ? mends(maxDataLoss) : [];
    const told = { evidence, figures, ...faultsIn(pass, judged) };
    if (share > maxDataLoss) return { verdict: "failed", ...told, mend };
    // What is not known may be more than what may be lost.
    if (figures.unknownTables > 0) {
      const again = judged.some((one) => one.again === true);
      return { verdict: "could not run", ...told, mend: [...mend, anew], again };
    }
    return lost > 0 ? { verdict: "warned", ...told, mend } : { verdict: soundBut(pass.gap), ...told };
  },
};

/** The rows that are missing, where some of them are lost, and the tables of which nothing is known. */
function faultsIn({ tables, takenAt = "" }: Pass, judged: readonly Judged[]): Pick<Finding, "faults"> {
  const unknown = new Counted().add(...tables.flatMap(({ shown }, i) => (judged[i]?.unknown === true ? [shown] : [])));
  const lost = tables.flatMap(({ shown, rows: found, deleted }, i) =>
    (judged[i]?.lost ?? 0) > 0 && typeof found === "object"
      ? [[`${shown}, rows of the backup of ${takenAt}`, found.missingAt, Number(deleted)] as const]
      : [],
  );
  return faultsOf([["tables of which nothing is known", unknown], ...lost]);
}

const anew = "the next up that changes something takes and proves another backup, from which all is counted anew";

const mends = (limit: number): string[] => [
  "find out who took them: TRUNCATE, a dropped partition, a damaged page or index (amcheck), a table put back from a copy",
  "npm run backups -- restore latest --table NAME puts the backup's rows beside the live table, to copy from",
  `more than ${limit} of a table's rows stops up (guardian:gates.maxDataLoss)`,
];

function judge(table: Passed): Judged {
  const { shown, before, now, unread, rows: found, deleted, passing, unlogged } = table;
  const uncounted = unread === undefined ? "" : `; what it has now was not counted: ${unread}`;
  const note = `${uncounted}${unlogged ? "; it is unlogged: a crash of the server empties it" : ""}`;
  if (found === undefined || before === undefined)
    return { line: `${shown}: not in the backup, ${now?.rows ?? 0} rows${note}`, lost: 0, share: 0, unknown: false };
  const unknown = { lost: 0, share: 0, unknown: true };
  if (typeof found === "string")
    return { line: `${shown}: not compared: ${found}`, ...unknown, again: passing.includes("rows") };
  const extra = Math.max(0, (now?.rows ?? 0) - (before - found.missing));
  const more = extra > 0 ? `extra: ${extra} rows more than the backup's` : "complete";
  const changed = found.written > 0 ? `, ${found.written} changed by the application` : "";
  if (found.missing === 0)
    return { line: `${shown}: ${more}, ${before} rows compared${changed}${note}`, lost: 0, share: 0, unknown: false };
  const keys = found.missingKeys.slice(0, 8).join(", ");
  const named = `${keys}${found.missing > 8 ? " …" : ""}`;
  if (typeof deleted === "string") {
    const line = `${shown}: ${found.missing} of ${before} rows are missing, and whether the application deleted them cannot be told: ${deleted}: ${named}${note}`;
    return { line, ...unknown, again: passing.includes("deleted") };
  }
  const lost = Math.max(0, found.missing - deleted);
  if (lost === 0) {
    const line = `${shown}: ${more}, ${before} rows compared, ${found.missing} of them deleted by the application${changed}${note}`;
    return { line, lost, share: 0, unknown: false };
  }
  const line = `${shown}: loss: ${found.missing} of ${before} rows are missing, and at most ${deleted} were deleted: ${named}${note}`;
  return { line, lost, share: lost / before, unknown: false };
}
