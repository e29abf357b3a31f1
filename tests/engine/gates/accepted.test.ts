import { expect } from "chai";
import { gates } from "../../../engine/gates";
import type { Check } from "../../../engine/gates/check";
import { decide, type Decision } from "../../../engine/gates/decide";
import { useDumps } from "../dumps";
import type { V6 } from "../../support/postgres";
import { line } from "./asked";
import { asked, lose, told, withBackup } from "./harness";

describe("what is accepted of v6", function () {
  this.timeout(180_000);
  const place = useDumps();

  /** What the gate decides of one check, as if it were accepted since before. */
  const decided = async (db: V6, name: string, before: Decision["accepted"] = {}): Promise<Decision> => {
    const [outcome] = await asked(db, [name]);
    if (!outcome) throw new Error(`there is no check ${name}`);
    expect(outcome.verdict, line(outcome)).to.equal("failed");
    const all: readonly Check[] = gates.data;
    return decide(all, [outcome], { gate: "data", accept: { [name]: "known" } }, before, "2026-01-01");
  };
  const worse = ({ stops }: Decision): string => stops.flatMap(({ since }) => since?.worse ?? []).join("; ");

  const back = "INSERT INTO public.patient_vitals SELECT * FROM pg_temp.lost";

  it("19-4 are those rows that are lost: others in their place void it, what the application deletes does not", () =>
    withBackup(place, async (db, admin) => {
      await lose(admin, "public.patient_vitals", 2);
      const first = await decided(db, "v6-rows");
      const { accepted } = first;
      expect(first.stops).to.deep.equal([]);
      expect((await decided(db, "v6-rows", accepted)).stops, "the same").to.deep.equal([]);
      // The application goes on, with rows of the backup's.
      await admin.query(
        "DELETE FROM public.patient_vitals WHERE id IN (SELECT id FROM public.patient_vitals ORDER BY id DESC LIMIT 3)",
      );
      await told(admin);
      expect((await decided(db, "v6-rows", accepted)).stops, "deleted by the application").to.deep.equal([]);
      // One comes back, and another goes: no more are lost, and not the same.
      await admin.query(`${back} ORDER BY id LIMIT 1`);
      expect((await decided(db, "v6-rows", accepted)).stops, "fewer").to.deep.equal([]);
      await admin.query("SET track_counts = off");
      await admin.query(
        "DELETE FROM public.patient_vitals WHERE id = (SELECT id FROM public.patient_vitals ORDER BY id OFFSET 2 LIMIT 1)",
      );
      await admin.query("SET track_counts = on");
      const other = await decided(db, "v6-rows", accepted);
      expect(other.stops[0]?.outcome.figures).to.include({ lostRows: 2 });
      expect(worse(other)).to.match(/^public\.patient_vitals, rows of the backup of .*: others than then: \d+/);
      // A row is told by its place: nothing of it is kept.
      expect(JSON.stringify(accepted["v6-rows"]?.faults)).not.to.match(/[0-9a-f]{8}-[0-9a-f]{4}-/);
      expect(accepted["v6-rows"]?.faults).not.to.equal(undefined);
    }));

  it("19-4 are those changes of a definition: another of the same object, or of another one, voids it", () =>
    withBackup(place, async (db, admin) => {
      await admin.query("ALTER TABLE public.documents ADD COLUMN release int");
      const { accepted, stops } = await decided(db, "v6-definitions");
      expect(stops).to.deep.equal([]);
      expect((await decided(db, "v6-definitions", accepted)).stops).to.deep.equal([]);
      await admin.query("ALTER TABLE public.documents ALTER COLUMN release TYPE text");
      expect(worse(await decided(db, "v6-definitions", accepted)), "the same object once more").to.match(
        /^objects: others than then: table public\.documents \([0-9a-f]{12}\)$/,
      );
      await admin.query(
        "ALTER TABLE public.documents DROP COLUMN release; DROP INDEX public.patient_vitals_recent_idx",
      );
      const other = await decided(db, "v6-definitions", accepted);
      expect(other.stops[0]?.outcome.figures).to.include({ changedObjects: 1 });
      expect(worse(other)).to.match(/others than then: index public\.patient_vitals_recent_idx \(gone\)/);
    }));
});
