import { expect } from "chai";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { refusal, value, withModules } from "../support/modules";
import { as, create, invite, join, modules, people, save, wait, type Saved } from "./008_sessions";

/** A session with the doctor and the nurse in it, and the patient, who only reads. */
async function meeting(client: Client): Promise<{ patient: string; doctor: string; nurse: string; session: string }> {
  const [patient, doctor, nurse] = await people(client);
  const session = await create(client, doctor, patient);
  await invite(client, doctor, session, nurse, "editor");
  for (const user of [doctor, nurse, patient]) await join(client, user, session);
  return { patient, doctor, nurse, session };
}

const resolve = (client: Client, user: string, values: unknown[]): Promise<Saved> =>
  asRole(client, "authenticated", user, async (c) => {
    const { rows } = await c.query<Saved>(
      "SELECT * FROM public.resolve_collaboration_conflict($1, $2, $3, $4, $5)",
      values,
    );
    return rows[0]!;
  });

describe("008_realtime_collaboration: notes", function () {
  this.timeout(60_000);

  it("of two who save the same version at once one saves and the other gets a conflict, with his text kept", async () => {
    await withModules(modules, async (client, db) => {
      const { doctor, nurse, session } = await meeting(client);
      const note = await save(client, doctor, session, "one");
      expect(note).to.include({ result: "saved", version_number: 1, conflict_id: null });
      const [a, b] = [await db.connect(), await db.connect()];
      const both = await Promise.all([
        save(a, doctor, session, "doctor's", note.note_id, 1),
        save(b, nurse, session, "nurse's", note.note_id, 1),
      ]);
      expect(both.map((saved) => `${saved.result} ${saved.version_number}`).sort()).to.deep.equal([
        "conflict 2",
        "saved 2",
      ]);
      const lost = both[0].result === "conflict" ? "doctor's" : "nurse's";
      const { rows } = await client.query(
        "SELECT id, conflict_type, expected_version, current_version, attempted_content, status, user_id FROM public.collaboration_conflicts",
      );
      expect(rows).to.deep.equal([
        {
          id: both.find((saved) => saved.conflict_id)!.conflict_id,
          conflict_type: "concurrent_edit",
          expected_version: 1,
          current_version: 2,
          attempted_content: lost,
          status: "detected",
          user_id: lost === "doctor's" ? doctor : nurse,
        },
      ]);
      const history = await value<string[]>(
        client,
        "SELECT array_agg(version_number || ' ' || content ORDER BY version_number) FROM public.collaborative_note_versions",
      );
      expect(history).to.deep.equal(["1 one", `2 ${lost === "doctor's" ? "nurse's" : "doctor's"}`]);
      for (const version of [null, 0, 3])
        expect((await save(client, doctor, session, "x", note.note_id, version)).result).to.equal("conflict");
      expect(
        await value(
          client,
          "SELECT count(*) FROM public.collaboration_conflicts WHERE conflict_type = 'version_mismatch'",
        ),
      ).to.equal("3");
    });
  });

  it("U-13: two conflicts of one note are two, each resolved once: merged, forced, dropped, or in conflict again", async () => {
    await withModules(modules, async (client) => {
      const { patient, doctor, nurse, session } = await meeting(client);
      const { note_id: note } = await save(client, doctor, session, "one");
      await save(client, doctor, session, "two", note, 1);
      const ids: string[] = [];
      for (const text of ["a", "b", "c"]) ids.push((await save(client, nurse, session, text, note, 1)).conflict_id!);
      expect(new Set(ids).size).to.equal(3);
      expect(
        (await refusal(resolve(client, patient, [ids[0], "discard", null, null, null]))).code,
        "a viewer",
      ).to.equal("42501");
      expect((await refusal(resolve(client, nurse, [ids[0], "merge", 2, null, null]))).code).to.equal("22023");
      expect(await resolve(client, nurse, [ids[0], "merge", 2, "Title", "two and a"])).to.include({
        result: "resolved",
        version_number: 3,
      });
      const late = await resolve(client, nurse, [ids[1], "overwrite", 2, null, null]);
      expect(late).to.include({ result: "conflict", version_number: 3 });
      expect(await resolve(client, nurse, [ids[1], "overwrite", 3, null, null])).to.include({
        result: "resolved",
        version_number: 4,
      });
      expect(await resolve(client, doctor, [ids[2], "discard", null, null, null])).to.include({
        result: "resolved",
        version_number: 4,
      });
      expect((await refusal(resolve(client, doctor, [ids[2], "discard", null, null, null]))).code).to.equal("55000");
      const { rows } = await client.query(
        "SELECT resolution_strategy AS how, resolved_version AS version FROM public.collaboration_conflicts WHERE status = 'resolved' ORDER BY resolved_at",
      );
      expect(rows).to.deep.equal([
        { how: "merge", version: 3 },
        { how: "overwrite", version: 4 },
        { how: "discard", version: null },
      ]);
      expect(await value(client, "SELECT content FROM public.collaborative_clinical_notes")).to.equal("b");
    });
  });

  it("viewers write nothing, finalized notes and versions do not change, and a note stays in its session", async () => {
    await withModules(modules, async (client) => {
      const { patient, doctor, nurse, session } = await meeting(client);
      const { note_id: note } = await save(client, doctor, session, "one");
      expect((await refusal(save(client, patient, session, "mine"))).code).to.equal("42501");
      expect(
        (await refusal(as(client, patient, "SELECT public.set_note_status($1, 'finalized', 1)", [note]))).code,
      ).to.equal("42501");
      const other = await create(client, nurse, patient);
      await join(client, nurse, other);
      expect((await refusal(save(client, nurse, other, "through the back door", note, 1))).code).to.equal("42501");
      const status = (version: number) =>
        as<boolean>(client, nurse, "SELECT public.set_note_status($1, 'finalized', $2)", [note, version]);
      expect([await status(2), await status(1), await status(1)]).to.deep.equal([false, true, false]);
      expect((await refusal(save(client, doctor, session, "two", note, 1))).code).to.equal("55000");
      expect(
        (await refusal(client.query("UPDATE public.collaborative_note_versions SET content = 'never said'"))).code,
      ).to.equal("42501");
      await wait(client, 31);
      expect((await refusal(as(client, doctor, "SELECT public.touch_collaboration($1)", [session]))).code).to.equal(
        "55000",
      );
    });
  });

  it("who listens hears of every change: ids and versions, no names, no text", async () => {
    await withModules(modules, async (client, db) => {
      const { doctor, nurse, session } = await meeting(client);
      const listener = await db.connect();
      const heard: string[] = [];
      listener.on("notification", (message) => heard.push(message.payload ?? ""));
      await listener.query("LISTEN guardian_collaboration");
      const note = await save(client, doctor, session, "secret");
      await save(client, nurse, session, "secret two", note.note_id, 1);
      await save(client, doctor, session, "secret three", note.note_id, 1);
      await as(client, nurse, "SELECT public.remove_from_collaboration($1, $2)", [session, nurse]);
      await as(client, doctor, "SELECT public.end_collaboration_session($1)", [session]);
      for (let i = 0; i < 100 && heard.length < 5; i++) await sleep(10);
      const told = heard.map((payload) => JSON.parse(payload) as Record<string, unknown>);
      expect(
        told.map((one) => `${String(one["action"])} ${String(one["table"])} ${String(one["version"])}`),
      ).to.deep.equal([
        "INSERT collaborative_clinical_notes 1",
        "UPDATE collaborative_clinical_notes 2",
        "INSERT collaboration_conflicts undefined",
        "UPDATE collaboration_participants undefined",
        "UPDATE collaboration_sessions undefined",
      ]);
      expect(new Set(told.map((one) => one["session_id"]))).to.deep.equal(new Set([session]));
      expect(heard.join()).to.not.match(/secret|Title|Round/);
    });
  });

  it("K-7: sessions, participants and notes are audited: keys and column names only, and not every look", async () => {
    await withModules(modules, async (client) => {
      const { doctor, session } = await meeting(client);
      const { note_id: note } = await save(client, doctor, session, "secret");
      await save(client, doctor, session, "secret two", note, 1);
      const before = await value(client, "SELECT count(*) FROM public.audit_log");
      for (let i = 0; i < 3; i++) await as(client, doctor, "SELECT public.touch_collaboration($1)", [session]);
      expect(await value(client, "SELECT count(*) FROM public.audit_log")).to.equal(before);
      const { rows } = await client.query(
        "SELECT action, changed_columns AS columns, actor, record_key AS key FROM public.audit_log WHERE table_name = 'public.collaborative_clinical_notes' ORDER BY occurred_at",
      );
      expect(rows).to.deep.equal([
        { action: "INSERT", columns: [], actor: doctor, key: note },
        { action: "UPDATE", columns: ["content", "version_number"], actor: doctor, key: note },
      ]);
      expect(
        await value(client, "SELECT count(*) FROM public.audit_log a WHERE a::text ~ 'secret|Round|Title'"),
      ).to.equal("0");
    });
  });
});
