import { expect } from "chai";
import {
  count,
  deleteAccount,
  as,
  describeLifecycle,
  expectRefusal,
  queryAs,
  service,
  testOn,
  value,
} from "../support/modules";
import {
  collaborationModule,
  create,
  invite,
  join,
  modules,
  people,
  reads,
  remove,
  save,
  share,
  wait,
} from "./008_sessions";

const limit = (key: string, to: number) =>
  `UPDATE public.feature_flags SET configuration = configuration || '{"${key}": ${to}}' WHERE feature_name = 'real_time_collaboration'`;

const test = testOn(modules);

describe("008_realtime_collaboration", function () {
  this.timeout(60_000);

  describeLifecycle(collaborationModule, {
    "ALTER TABLE public.collaboration_participants DISABLE ROW LEVEL SECURITY":
      /collaboration_participants: NO row security/,
    "GRANT UPDATE ON public.collaboration_sessions TO authenticated": /authenticated may UPDATE/,
    "GRANT DELETE ON public.collaboration_sessions TO authenticated": /authenticated may DELETE/,
    "GRANT SELECT ON public.collaborative_clinical_notes TO service_role": /service_role may SELECT/,
    "ALTER POLICY collaborative_clinical_notes_admitted ON public.collaborative_clinical_notes USING (true)":
      /notes_admitted .*using true/,
    "ALTER TABLE public.collaboration_sessions DISABLE TRIGGER collaboration_sessions_identity":
      /sessions_identity .*DISABLED/,
    "ALTER TABLE public.collaborative_clinical_notes DROP CONSTRAINT collaborative_clinical_notes_last_editor_fkey":
      /missing \[.*last_editor.*SET NULL/,
    "ALTER FUNCTION public.my_collaboration_sessions() SECURITY INVOKER": /my_collaboration_sessions\(\): invoker/,
    "ALTER FUNCTION public.join_collaboration(uuid) RESET search_path": /join_collaboration.*NOT pinned/,
    "GRANT EXECUTE ON FUNCTION public.touch_collaboration(uuid) TO anon": /anon may EXECUTE/,
  });

  test("K-12: a session with three participants and a note, which all of them read (scenario 12), and strangers do not", async (client) => {
    const [patient, doctor, nurse, stranger] = await people(client);
    const session = await create(client, doctor, patient);
    expect(await invite(client, doctor, session, nurse, "editor")).to.equal(true);
    expect([
      await join(client, doctor, session),
      await join(client, nurse, session),
      await join(client, patient, session),
    ]).to.deep.equal([1, 2, 3]);
    expect((await save(client, nurse, session, "Fever.")).result).to.equal("saved");
    for (const user of [patient, doctor, nurse]) expect(await reads(client, user)).to.equal("1 3 1 1 0");
    expect(await reads(client, stranger)).to.equal("0 0 0 0 0");
  });

  test("U-1 U-2: the policies of participants and sessions ask neither themselves nor each other", async (client) => {
    const [patient, doctor, nurse] = await people(client);
    const [mine, other] = [await create(client, doctor, patient), await create(client, nurse, patient)];
    const seen = (user: string, table: string, column: string) =>
      as<string[]>(client, user, `SELECT array_agg(${column}::text ORDER BY ${column}) FROM public.${table}`);
    expect(await seen(doctor, "collaboration_participants", "session_id")).to.deep.equal([mine]);
    expect(await seen(doctor, "collaboration_sessions", "id")).to.deep.equal([mine]);
    expect(await seen(patient, "collaboration_participants", "session_id")).to.deep.equal([mine, other].sort());
  });

  test("each policy finds its rows by an index: who reads pays for his own sessions, and not for everybody's", async (client) => {
    const [patient] = await people(client);
    // So few rows are read as fast without one.
    await client.query("SET enable_seqscan = off; SET enable_bitmapscan = off");
    for (const [table, column] of [
      ["collaboration_sessions", "id"],
      ["collaboration_participants", "session_id"],
      ["collaborative_clinical_notes", "session_id"],
      ["collaborative_note_versions", "session_id"],
      ["collaboration_conflicts", "session_id"],
    ] as const) {
      const explain = `EXPLAIN (COSTS OFF) SELECT ${column} FROM public.${table}`;
      const { rows } = await queryAs<{ "QUERY PLAN": string }>(client, "authenticated", patient, explain);
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      expect(plan, table).to.include(`Index Cond: (${column} = ANY (`).and.not.include("Filter:");
    }
  });

  test("U-12: no participant takes a session over, deletes it or lets himself in; nor does the server side read notes", async (client) => {
    const [patient, doctor, nurse, stranger] = await people(client);
    const session = await create(client, doctor, patient);
    await invite(client, doctor, session, nurse, "editor");
    for (const [role, user, sql] of [
      ["authenticated", nurse, `UPDATE public.collaboration_sessions SET patient_id = '${nurse}'`],
      ["authenticated", nurse, "UPDATE public.collaboration_sessions SET session_owner = NULL"],
      ["authenticated", nurse, "UPDATE public.collaboration_participants SET role = 'owner'"],
      ["authenticated", nurse, "DELETE FROM public.collaboration_sessions"],
      ["authenticated", nurse, "TRUNCATE public.collaboration_sessions CASCADE"],
      [
        "authenticated",
        stranger,
        `INSERT INTO public.collaboration_participants (session_id, user_id, role, admitted_by) VALUES ('${session}', '${stranger}', 'owner', 'patient')`,
      ],
      ["authenticated", stranger, `SELECT public.join_collaboration('${session}')`],
      ["authenticated", stranger, `SELECT public.create_collaboration_session('${patient}', 'x', 'care_team_meeting')`],
      ["authenticated", nurse, `SELECT public.invite_to_collaboration('${session}', '${stranger}')`],
      ["authenticated", doctor, `SELECT public.invite_to_collaboration('${session}', '${stranger}')`],
      ["authenticated", nurse, `SELECT public.remove_from_collaboration('${session}', '${doctor}')`],
      ["authenticated", doctor, `SELECT public.remove_from_collaboration('${session}', '${patient}')`],
      ["authenticated", nurse, `SELECT public.end_collaboration_session('${session}')`],
      ["authenticated", stranger, `SELECT public.end_collaboration_session('${session}')`],
      ["authenticated", null, `SELECT public.join_collaboration('${session}')`],
      ["authenticated", null, `SELECT public.remove_from_collaboration('${session}', '${nurse}')`],
      ["service_role", null, "SELECT content FROM public.collaborative_clinical_notes"],
      ["anon", null, "SELECT id FROM public.collaboration_sessions"],
    ] as const) {
      await expectRefusal("42501", queryAs(client, role, user, sql), `${role}: ${sql}`);
    }
    for (const sql of [
      `UPDATE public.collaboration_sessions SET patient_id = '${nurse}'`,
      `UPDATE public.collaboration_sessions SET session_owner = '${nurse}'`,
    ]) {
      await expectRefusal("42501", client.query(sql), "not even the tables' owner");
    }
    expect(await invite(client, doctor, session, doctor, "viewer"), "the owner stays the owner").to.equal(false);
  });

  test("a participant is admitted while the patient's consent stands, and whom the patient removes stays out", async (client) => {
    const [patient, doctor, nurse, stranger] = await people(client);
    const session = await create(client, doctor, patient);
    await invite(client, doctor, session, nurse);
    await join(client, doctor, session);
    await as(
      client,
      patient,
      "SELECT count(public.revoke_patient_consent(id)) FROM public.patient_consents WHERE granted_to = $1",
      [doctor],
    );
    expect(await reads(client, doctor)).to.equal("0 0 0 0 0");
    await expectRefusal("42501", save(client, doctor, session, "x"));
    await expectRefusal("42501", as(client, doctor, "SELECT public.end_collaboration_session($1)", [session]));
    expect(await invite(client, patient, session, stranger), "the patient invites whom he likes").to.equal(true);
    expect(await reads(client, stranger)).to.equal("1 3 0 0 0");
    await share(client, patient, doctor);
    expect(await remove(client, patient, session, nurse)).to.equal(true);
    expect(await invite(client, doctor, session, nurse), "the owner cannot bring her back").to.equal(false);
    expect(await reads(client, nurse)).to.equal("0 0 0 0 0");
    expect(await remove(client, stranger, session, stranger)).to.equal(true);
    expect(await remove(client, stranger, session, stranger)).to.equal(false);
    expect(await remove(client, patient, session, doctor), "the owner too").to.equal(true);
    expect(await reads(client, doctor)).to.equal("0 0 0 0 0");
    expect(await invite(client, patient, session, doctor)).to.equal(true);
    expect(
      await value(client, "SELECT role || ' ' || state FROM public.collaboration_participants WHERE user_id = $1", [
        doctor,
      ]),
    ).to.equal("owner invited");
    expect(
      await as<boolean>(client, patient, "SELECT public.end_collaboration_session($1, 'cancelled')", [session]),
    ).to.equal(true);
    await expectRefusal("55000", join(client, doctor, session));
  });

  test("the flag's limits hold: max_concurrent_users, session_timeout_minutes, and the flag itself", async (client, db) => {
    const [patient, doctor, nurse, stranger] = await people(client);
    const session = await create(client, doctor, patient);
    await invite(client, patient, session, nurse, "editor");
    await invite(client, patient, session, stranger);
    await client.query(limit("max_concurrent_users", 2));
    await join(client, doctor, session);
    const rivals = [await db.connect(), await db.connect()];
    const both = await Promise.allSettled([join(rivals[0]!, nurse, session), join(rivals[1]!, stranger, session)]);
    expect(both.map((one) => one.status).sort(), "one place for two").to.deep.equal(["fulfilled", "rejected"]);
    const said = both.find((one) => one.status === "rejected") as PromiseRejectedResult;
    expect((said.reason as { code: string }).code).to.equal("54000");
    expect(await join(client, doctor, session), "who is in may enter again").to.equal(2);
    expect(await join(client, patient, session), "his own record: full or not").to.equal(3);
    expect(await join(client, doctor, session), "who is in is not put out by it").to.equal(3);
    const outside = both[0].status === "rejected" ? nurse : stranger;
    await expectRefusal("54000", join(client, outside, session), "and he counts");
    await client.query("UPDATE public.collaboration_participants SET state = 'left' WHERE user_id = ANY ($1)", [
      [patient, stranger],
    ]);
    await client.query(
      "UPDATE public.feature_flags SET configuration = configuration - 'max_concurrent_users' WHERE feature_name = 'real_time_collaboration'",
    );
    expect(await value(client, "SELECT public.collaboration_limit('max_concurrent_users', 10)")).to.equal(10);
    await join(client, nurse, session);
    await wait(client, 29);
    expect((await save(client, doctor, session, "still here")).result).to.equal("saved");
    await wait(client, 2);
    await expectRefusal("55000", save(client, nurse, session, "late"), "31 minutes away");
    await client.query(limit("session_timeout_minutes", 60));
    expect((await save(client, nurse, session, "late")).result).to.equal("saved");
    await wait(client, 61);
    expect(await service(client, "SELECT public.pause_idle_collaborations()")).to.equal("1");
    await expectRefusal("55000", as(client, doctor, "SELECT public.touch_collaboration($1)", [session]));
    expect(await join(client, doctor, session), "those who timed out do not count").to.equal(1);
    await client.query("UPDATE public.feature_flags SET enabled = false");
    for (const sql of [
      "SELECT public.join_collaboration($1)",
      "SELECT public.touch_collaboration($1)",
      "SELECT public.save_collaborative_note($1, 'a', 'b')",
    ]) {
      await expectRefusal("55000", as(client, doctor, sql, [session]));
    }
    expect(
      await as<boolean>(client, doctor, "SELECT public.end_collaboration_session($1)", [session]),
      "ending needs no flag",
    ).to.equal(true);
  });

  test("16-14 an invited id that is no account comes back from the archive as any other, and goes with the account it becomes", async (client, db, engine) => {
    const [patient, doctor] = await people(client);
    const nobody = "d0000000-0000-4000-8000-00000000000d";
    const session = await create(client, patient, patient);
    expect([
      await invite(client, patient, session, nobody),
      await invite(client, patient, session, doctor),
    ]).to.deep.equal([true, true]);
    const shown = (): Promise<string> =>
      as(
        client,
        patient,
        "SELECT string_agg(user_id || ' ' || role || ' ' || state, ', ' ORDER BY user_id) FROM public.collaboration_participants",
      );
    const before = await shown();
    expect(before).to.contain(`${nobody} viewer invited`).and.to.contain(`${doctor} viewer invited`);
    await engine.undo(collaborationModule);
    await engine.applyReal(collaborationModule);
    expect(await shown()).to.equal(before);
    const admin = await db.connect("admin");
    await admin.query("INSERT INTO auth.users (id, created_at) VALUES ($1, now())", [nobody]);
    await join(client, nobody, session);
    for (const id of [nobody, doctor]) await admin.query("DELETE FROM auth.users WHERE id = $1", [id]);
    expect(await shown()).to.equal(`${patient} owner invited`);
  });

  test("D-1: a patient's account is deleted with his sessions; another's goes and the notes stay, without his name", async (client, db) => {
    const [patient, doctor, nurse] = await people(client);
    const session = await create(client, doctor, patient);
    await invite(client, doctor, session, nurse, "editor");
    for (const user of [doctor, nurse]) await join(client, user, session);
    const note = await save(client, doctor, session, "one");
    await save(client, nurse, session, "two", note.note_id, 1);
    await save(client, doctor, session, "lost", note.note_id, 1);
    const admin = await db.connect("admin");
    await deleteAccount(admin, doctor);
    expect(await reads(client, patient)).to.equal("1 1 1 2 1");
    const names = `SELECT count(*) FROM (SELECT session_owner FROM public.collaboration_sessions UNION ALL SELECT primary_author FROM public.collaborative_clinical_notes
            UNION ALL SELECT editor FROM public.collaborative_note_versions UNION ALL SELECT user_id FROM public.collaboration_conflicts) AS n (who) WHERE who = $1`;
    expect(await value(client, names, [doctor])).to.equal("0");
    await deleteAccount(admin, patient);
    for (const table of [
      "collaboration_sessions",
      "collaboration_participants",
      "collaborative_clinical_notes",
      "collaborative_note_versions",
      "collaboration_conflicts",
    ])
      expect(await count(client, `public.${table}`), table).to.equal(0);
  });
});
