import { preflight } from "../../backup";
import { roomFor } from "../../backup/room";
import { isAwaited, pathOf, serves } from "../../backup/step/policy";
import { readLedger } from "../../ledger/identity";
import { ledgerSchema } from "../../ledger/schema";
import { detailOf, readSteps } from "../../ledger/steps";
import { some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** What a backup needs on the machine that takes it. How much the server's own disk has free, SQL does not tell. */
export const room: Check = {
  name: "backup-room",
  asks: "whether a backup can be taken from here: client programs, rights, folder and free disk",
  cost: "catalogue",
  worse: ["faults"],
  async run({ db, host, declared }) {
    const { directory, verify } = declared.backup;
    const steps = (await readLedger(db)) ? await readSteps(db) : [];
    const last = steps.find(({ kind, part }) => kind === "Backup" && part === "");
    const urn = last?.urn ?? "";
    const { protects = {} } = detailOf(last, "Backup");
    const wanted = { directory, verify, protects, maxAgeSeconds: declared.backup.maxAge, jobs: 1, ledgerId: "" };
    if (isAwaited(steps, urn, protects) && serves(steps, urn, wanted))
      return { verdict: "passed", evidence: [`the backup that the next change wants is taken: ${pathOf(steps, urn)}`] };
    const expected = await roomFor(db, steps, urn, { verify, directory });
    const { errors, faults, warnings } = await preflight(db, {
      server: await host.server(),
      where: host.settings.toString(),
      directory,
      excludeSchemas: [ledgerSchema],
      room: expected,
      env: declared.env,
    });
    const figures = { neededBytes: expected.here, scratchBytes: expected.scratch, faults: errors.length };
    if (errors.length > 0) {
      const what = errors.map((err) => `${err.what}${err.where === undefined ? "" : ` (${err.where})`}`);
      const mend = [...new Set(errors.flatMap(({ todo }) => todo))];
      const lacking = faultsNamed("backup-room", faults);
      return { verdict: "failed", evidence: some(what), figures, ...lacking, mend: some(mend) };
    }
    return {
      verdict: warnings.length > 0 ? "warned" : "passed",
      evidence: warnings.length > 0 ? some(warnings) : [`it will write ${expected.why}, and there is room`],
      figures,
      ...(warnings.length > 0
        ? { mend: ["set guardian:backup.directory to a folder on a disk with room for it"] }
        : {}),
    };
  },
};
