import { expect } from "chai";
import type { Client } from "pg";
import { column, refusalOf, until } from "../module/harness";
import { stopped, withOnline, type Online } from "./harness";

const users = 3000;
const refuse = `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, granted, consent_metadata)
  VALUES ($1, 'data_sharing', 'healthcare_services', 'consent', false, '{"state": "refused"}')`;

/** A patient's rows, and whether they amount to a consent. */
async function consentOf(admin: Client, patient: string): Promise<[rows: string[], granted: boolean | undefined]> {
  const rows = await column<string>(
    admin,
    `SELECT concat_ws(' ', granted, consent_metadata ->> 'state') FROM public.patient_consents WHERE patient_id = '${patient}'`,
  );
  const text = `SELECT public.has_general_consent('${patient}', 'data_sharing', 'healthcare_services')`;
  return [rows, (await column<boolean>(admin, text))[0]];
}

/** Somebody who was there before the migration. */
async function anybody(online: Online): Promise<string> {
  const text = "SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' ORDER BY id LIMIT 1";
  return (await column<string>(online.admin, text))[0] ?? "";
}

/** Whether somebody waits for the table in which every batch is counted. */
const settling =
  "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'guardian_migration.batch'::regclass AND NOT granted";

describe("a patient's refusal that is still being written while his row moves", function () {
  this.timeout(120_000);

  it("is waited for before the comparison: no assumed consent is left beside it", () =>
    withOnline("consents", users, async (online) => {
      const patient = await anybody(online);
      const other = await online.db.connect("admin");
      await other.query("BEGIN");
      await other.query(refuse, [patient]);
      let committed: Promise<unknown> | undefined;
      online.engine.onProgress = ({ phase, tries }) => {
        // It names who is waited for; without the wait, the cut-over's first try is stopped by him.
        if (phase === "writers" || tries === 1) committed ??= other.query("COMMIT");
      };
      await online.move();
      await committed;
      expect(online.engine.told.find(({ phase }) => phase === "writers")?.reason).to.match(
        /^test \(pid \d+, user postgres/,
      );
      expect(await consentOf(online.admin, patient)).to.deep.equal([["f refused"], false]);
    }));

  it("nor beside one whose row was settled after the comparison", () =>
    withOnline("consents", users, async (online) => {
      const patient = await anybody(online);
      const other = await online.db.connect("admin");
      let begun: Promise<unknown> | undefined;
      let committed: Promise<unknown> | undefined;
      const { admin } = online;
      online.engine.onProgress = ({ phase, tries }) => {
        // Noted, so that the row is written by the catch-up after the comparison, beside a refusal that is under way.
        if (phase === "prove")
          begun ??= admin
            .query("DELETE FROM public.patient_consents WHERE patient_id = $1", [patient])
            .then(() =>
              admin.query("UPDATE auth.users SET created_at = created_at - interval '1 s' WHERE id = $1", [patient]),
            )
            .then(() => other.query("BEGIN"))
            .then(() => other.query(refuse, [patient]));
        if (phase === "writers" || tries !== undefined) committed ??= other.query("COMMIT");
      };
      await online.move();
      await Promise.all([begun, committed]);
      expect(await consentOf(online.admin, patient)).to.deep.equal([["f refused"], false]);
    }));

  it("a change that begins after the comparison has ended before the cut-over, which locks the target besides", () =>
    withOnline(
      "consents",
      users,
      async (online) => {
        const patient = await anybody(online);
        const other = await online.db.connect("admin");
        const revoke = "UPDATE public.patient_consents SET granted = false, revoked_at = now() WHERE patient_id = $1";
        let begun: Promise<unknown> | undefined;
        let ended: Promise<unknown> | undefined;
        online.engine.onProgress = ({ phase, tries }) => {
          if (phase === "prove") begun ??= other.query("BEGIN").then(() => other.query(revoke, [patient]));
          if (tries !== undefined) ended ??= other.query("COMMIT");
        };
        await online.move();
        await Promise.all([begun, ended ?? other.query("ROLLBACK")]);
        expect(online.engine.told.find(({ phase }) => phase === "v6 locks")?.reason).to.match(
          /^public\.patient_consents is held by test \(pid \d+, user postgres/,
        );
      },
      { lockTimeout: 20 },
    ));

  it("nor where the triggers were off meanwhile, and every row is settled anew at the cut-over", () =>
    withOnline(
      "consents",
      users,
      async (online) => {
        const { admin } = online;
        const patient = await anybody(online);
        await admin.query("UPDATE auth.users SET deleted_at = now() WHERE id = $1", [patient]);
        await stopped(online);
        const [holder, other] = [await online.db.connect("admin"), await online.db.connect("admin")];
        await holder.query("BEGIN; LOCK TABLE auth.users IN SHARE ROW EXCLUSIVE MODE");
        let off: Promise<unknown> | undefined;
        let begun: Promise<unknown> | undefined;
        let committed: Promise<unknown> | undefined;
        online.engine.onProgress = ({ phase }) => {
          if (phase === "once more")
            // He refuses while all rows are settled anew, and ends once somebody waits for it.
            begun ??= holder
              .query("BEGIN; LOCK TABLE guardian_migration.batch IN SHARE MODE")
              .then(() => until(admin, settling))
              .then(() => other.query("BEGIN"))
              .then(() => other.query(refuse, [patient]))
              .then(() => holder.query("COMMIT"));
          else if (begun && (phase === "writers" || phase === "v6 locks"))
            committed ??= begun.then(() => other.query("COMMIT"));
          else if (phase === "v6 locks")
            off ??= holder
              .query("ALTER TABLE auth.users DISABLE TRIGGER USER")
              .then(() => holder.query("UPDATE auth.users SET deleted_at = NULL WHERE id = $1", [patient]))
              .then(() => holder.query("COMMIT"));
        };
        await online.move();
        await Promise.all([off, begun, committed]);
        expect(committed).to.not.equal(undefined);
        expect(await consentOf(admin, patient)).to.deep.equal([["f refused"], false]);
      },
      { lockTimeout: 20 },
    ));

  it("one that does not end is named when the time is up", () =>
    withOnline("consents", users, async (online) => {
      const other = await online.db.connect("admin");
      await other.query("BEGIN");
      await other.query(refuse, [await anybody(online)]);
      const said = await refusalOf(online.move({ deadline: Date.now() + 4000 }));
      expect(said.what).to.contain("a transaction that has written to public.patient_consents does not end");
      expect(said.where).to.match(/^test \(pid \d+, user postgres/);
      await other.query("ROLLBACK");
      expect(await online.move()).to.deep.include({ rejected: 0n });
      expect(await online.differing()).to.equal(0);
    }));
});
