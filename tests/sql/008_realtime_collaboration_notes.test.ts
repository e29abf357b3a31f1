import { expect } from "chai";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { count, as, expectRefusal, queryAs, refusal, testOn, value } from "../support/modules";
import { create, invite, join, modules, people, save, wait, type Saved } from "./008_sessions";

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

const test = testOn(modules);

describe("008_realtime_collaboration: notes", function () {
  this.timeout(60_000);

  test("of two who save the same version at once one saves and the other gets a conflict, with his text kept", async (client, db) => {
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
    expect(await count(client, "public.collaboration_conflicts WHERE conflict_type = 'version_mismatch'")).to.equal(3);
  });

  test("U-13: two conflicts of one note are two, each resolved once: merged, forced, dropped, or in conflict again", async (client) => {
    const { patient, doctor, nurse, session } = await meeting(client);
    const { note_id: note } = await save(client, doctor, session, "one");
    await save(client, doctor, session, "two", note, 1);
    const ids: string[] = [];
    for (const text of ["a", "b", "c"]) ids.push((await save(client, nurse, session, text, note, 1)).conflict_id!);
    expect(new Set(ids).size).to.equal(3);
    await expectRefusal("42501", resolve(client, patient, [ids[0], "discard", null, null, null]), "a viewer");
    await expectRefusal("22023", resolve(client, nurse, [ids[0], "merge", 2, null, null]));
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
    await expectRefusal("55000", resolve(client, doctor, [ids[2], "discard", null, null, null]));
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

  test("an approved note whose text changes is a draft again, by a save, a merge or an overwrite; the same text stays approved", async (client) => {
    const { doctor, nurse, session } = await meeting(client);
    const { note_id: note } = await save(client, doctor, session, "one");
    const status = (): Promise<string> =>
      value(client, "SELECT editorial_status FROM public.collaborative_clinical_notes");
    const set = (to: string, version: number): Promise<boolean> =>
      as<boolean>(client, doctor, "SELECT public.set_note_status($1, $2, $3)", [note, to, version]);
    const found: [string, string][] = [];
    const approved = async (version: number, how: string, change: () => Promise<Saved>): Promise<void> => {
      expect(await set("approved", version), how).to.equal(true);
      expect((await change()).version_number, how).to.equal(version + 1);
      found.push([how, await status()]);
    };
    await approved(1, "save", () => save(client, nurse, session, "two", note, 1));
    const lost = [await save(client, nurse, session, "a", note, 1), await save(client, nurse, session, "b", note, 1)];
    const [a, b] = lost.map((one) => one.conflict_id);
    await approved(2, "merge", () => resolve(client, nurse, [a, "merge", 2, "Title", "two and a"]));
    await approved(3, "overwrite", () => resolve(client, nurse, [b, "overwrite", 3, null, null]));
    await approved(4, "title", () =>
      queryAs<Saved>(
        client,
        "authenticated",
        nurse,
        "SELECT * FROM public.save_collaborative_note($1, 'Another', 'b', $2, 4)",
        [session, note],
      ).then(({ rows }) => rows[0]!),
    );
    await save(client, nurse, session, "b", note, 5);
    await approved(6, "the same", () => save(client, nurse, session, "b", note, 6));
    await set("review", 7);
    await save(client, nurse, session, "c", note, 7);
    found.push(["in review", await status()]);
    expect(found).to.deep.equal([
      ["save", "draft"],
      ["merge", "draft"],
      ["overwrite", "draft"],
      ["title", "draft"],
      ["the same", "approved"],
      ["in review", "review"],
    ]);
  });

  test("viewers write nothing, finalized notes and versions do not change, and a note stays in its session", async (client) => {
    const { patient, doctor, nurse, session } = await meeting(client);
    const { note_id: note } = await save(client, doctor, session, "one");
    await expectRefusal("42501", save(client, patient, session, "mine"));
    await expectRefusal("42501", as(client, patient, "SELECT public.set_note_status($1, 'finalized', 1)", [note]));
    const other = await create(client, nurse, patient);
    await join(client, nurse, other);
    await expectRefusal("42501", save(client, nurse, other, "through the back door", note, 1));
    const status = (version: number) =>
      as<boolean>(client, doctor, "SELECT public.set_note_status($1, 'finalized', $2)", [note, version]);
    expect([await status(2), await status(1), await status(1)]).to.deep.equal([false, true, false]);
    await expectRefusal("55000", save(client, doctor, session, "two", note, 1));
    await expectRefusal("42501", client.query("UPDATE public.collaborative_note_versions SET content = 'never said'"));
    await wait(client, 31);
    await expectRefusal("55000", as(client, doctor, "SELECT public.touch_collaboration($1)", [session]));
  });

  test("16-14 who listens hears that something changed, once a transaction, and nothing of whom: no ids, names or text", async (client, db) => {
    const { doctor, nurse, session } = await meeting(client);
    const listener = await db.connect("admin");
    const heard: string[] = [];
    listener.on("notification", ({ channel, payload }) => heard.push(`${channel}: ${payload ?? ""}`));
    await listener.query("SET ROLE anon; LISTEN guardian_collaboration");
    const note = await save(client, doctor, session, "secret");
    await save(client, nurse, session, "secret two", note.note_id, 1);
    await save(client, doctor, session, "secret three", note.note_id, 1);
    await as(client, nurse, "SELECT public.remove_from_collaboration($1, $2)", [session, nurse]);
    await as(client, doctor, "SELECT public.end_collaboration_session($1)", [session]);
    for (let i = 0; i < 100 && heard.length < 5; i++) await sleep(10);
    expect(heard).to.deep.equal(Array.from({ length: 5 }, () => "guardian_collaboration: "));
    // Where to look then.
    const changed = "SELECT id FROM public.collaboration_sessions WHERE updated_at > now() - interval '1 minute'";
    expect(await as(client, doctor, changed)).to.equal(session);
  });

  test("16-14 a note is finalized by its author or the session's owner, and by nobody else; so is what was not saved discarded", async (client, db) => {
    const [patient, doctor, nurse, editor] = await people(client);
    const session = await create(client, doctor, patient);
    await invite(client, doctor, session, nurse, "editor");
    await invite(client, patient, session, editor, "editor");
    for (const user of [doctor, nurse, editor, patient]) await join(client, user, session);
    const write = async (by: string): Promise<string> => (await save(client, by, session, "one")).note_id;
    const end = (by: string, note: string, status = "finalized"): Promise<boolean> =>
      as<boolean>(client, by, "SELECT public.set_note_status($1, $2, 1)", [note, status]);
    const [his, hers] = [await write(nurse), await write(nurse)];
    const refused = await refusal(end(editor, his));
    expect([refused.code, refused.message]).to.deep.equal([
      "42501",
      "a note is finalized by its author or by the owner of the session",
    ]);
    expect((await refusal(end(patient, his))).message).to.equal("a viewer writes no notes");
    expect([await end(editor, his, "approved"), await end(nurse, his), await end(doctor, hers)]).to.deep.equal([
      true,
      true,
      true,
    ]);
    await expectRefusal("22023", end(nurse, hers, "draft\r\n"));
    // Whoever edits it is not its author; and an author who is put down to viewer meanwhile is judged once he holds the session.
    const third = await write(nurse);
    await save(client, editor, session, "two", third, 1);
    await expectRefusal("42501", as(client, editor, "SELECT public.set_note_status($1, 'finalized', 2)", [third]));
    const [a, b] = [await db.connect(), await db.connect()];
    await a.query("BEGIN; SELECT FROM public.collaboration_sessions FOR UPDATE");
    const late = refusal(as(b, nurse, "SELECT public.set_note_status($1, 'finalized', 2)", [third]));
    await sleep(100);
    await a.query("UPDATE public.collaborative_clinical_notes SET primary_author = NULL; COMMIT");
    expect((await late).code, "no longer the author").to.equal("42501");
    const { conflict_id: conflict } = await save(client, nurse, session, "lost", third, 1);
    await expectRefusal("42501", resolve(client, editor, [conflict, "discard", null, null, null]));
    expect((await resolve(client, nurse, [conflict, "discard", null, null, null])).result).to.equal("resolved");
  });

  test("K-7: sessions, participants and notes are audited: keys and column names only, and not every look", async (client) => {
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
    expect(await count(client, "public.audit_log a WHERE a::text ~ 'secret|Round|Title'")).to.equal(0);
  });
});
