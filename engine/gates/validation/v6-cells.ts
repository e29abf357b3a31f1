import { some, type Check } from "../check";
import { Counted, faultsOf } from "../faults";
import { nothingToJudge, passOf } from "./pass";
import { soundBut } from "./proven";

/**
 * A row whose values are not the backup's, and which nobody has written since: the transaction that wrote it (xmin) had ended
 * before the backup's snapshot. What a later one wrote is the application's change, and what one wrote that was running
 * then is taken for it: its subtransactions are in no snapshot.
 */
export const cells: Check = {
  name: "v6-cells",
  asks: "whether every value of v6 is the proven backup's, unless the application has written the row since",
  cost: "pass",
  worse: ["changedRows", "unknownTables"],
  async run(site) {
    const pass = await passOf(site, "v6-cells");
    const nothing = nothingToJudge(pass);
    if (nothing) return nothing;
    const lines: string[] = [];
    const figures = { comparedRows: 0, changedRows: 0, writtenRows: 0, unknownTables: 0 };
    for (const { shown, before = 0, rows } of pass.tables) {
      if (rows === undefined) continue;
      if (typeof rows === "string") {
        figures.unknownTables++;
        lines.push(`${shown}: not compared: ${rows}`);
        continue;
      }
      figures.comparedRows += before - rows.missing;
      figures.changedRows += rows.changed;
      figures.writtenRows += rows.written;
      if (rows.changed === 0) continue;
      const named = rows.changedRows.slice(0, 8).map(({ key, columns }) => `${key} (${columns.join(", ")})`);
      lines.unshift(
        `${shown}: ${rows.changed} rows have other values, and nobody has written them: ${named.join("; ")}`,
      );
    }
    const gap = pass.gap === undefined ? [] : [pass.gap];
    const unknown = pass.tables.filter(({ rows }) => typeof rows === "string");
    const changed = pass.tables.map(({ shown, rows }) => {
      const faults = typeof rows === "object" ? rows.changedAt : undefined;
      return [`${shown}, rows of the backup of ${pass.takenAt ?? ""}`, faults] as const;
    });
    const not = new Counted().add(...unknown.map(({ shown }) => shown));
    const faults = faultsOf([["tables that are not compared", not], ...changed]);
    if (figures.changedRows > 0)
      return {
        verdict: "failed",
        evidence: [...some(lines), ...gap],
        figures,
        ...faults,
        mend: [
          "look for damaged storage: data checksums, the server's log, the machine's disks and memory",
          "npm run backups -- restore latest --table NAME puts the backup's rows beside the live table, to compare with",
        ],
      };
    const compared = `${figures.comparedRows} rows have the backup's values; ${figures.writtenRows} were changed by the application`;
    if (figures.unknownTables === 0) return { verdict: soundBut(pass.gap), evidence: [compared, ...gap], figures };
    const mend = [
      "the next up that changes something takes and proves another backup, from which all is compared anew",
    ];
    const again = unknown.some(({ passing }) => passing.includes("rows"));
    return {
      verdict: "could not run",
      evidence: [...some([...lines, compared]), ...gap],
      figures,
      ...faults,
      mend,
      again,
    };
  },
};
