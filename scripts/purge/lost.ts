import type { Database } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import { lostTables } from "../../engine/ledger/archived";
import { giveUpLost } from "../../engine/module/archive/lost";
import { table } from "../demo/table";
import { write } from "./write";

/** Where it matters most what is given up. */
const consents = "public.patient_consents";

/** Gives up what archived tables held that are gone. @throws GuardianError if it must not be */
export async function giveUp(
  host: Database,
  say: (line: string) => void,
  sure: (what: string) => Promise<void>,
): Promise<number> {
  const { ledger, here } = await host.whereabouts().catch((err: unknown) => {
    throw fromPostgres(err, `purge --lost, ${host.settings.toString()}`);
  });
  const lost = ledger ? await host.read((db) => lostTables(db)) : [];
  if (!ledger || lost.length === 0) {
    say(`nothing is lost: every archived table that ${host.settings.explain()} should have is there`);
    return 0;
  }
  say(`in ${host.settings.explain()}, dropped by hand:`);
  table(lost.map((one) => ({ table: one.archivedAs, "rows at most": Number(one.rows), of: one.original }))).forEach(
    say,
  );
  if (lost.some(({ original }) => original === consents)) {
    say(
      `of ${consents} refusals and revocations are lost with them: such a patient is to the next up one who never answered`,
    );
  }
  await sure("give these rows up");
  const identity = { ledgerId: ledger.ledgerId, ...here };
  const given = await write(host, identity, "nothing was given up", (fenced) => giveUpLost(fenced, lost));
  say(`given up: ${given.map((one) => one.archivedAs).join(", ")}; the next up goes on without these rows`);
  return 0;
}
