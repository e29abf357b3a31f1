import { expect } from "chai";
import type { Client } from "pg";
import { loadModule } from "../../engine/module/files/manifest";
import { withEngine, type Engine } from "../engine/module/harness";
import { long } from "../support/long";
import { count, lines, queryAs } from "../support/modules";
import { claim as claimWork, complete, documents, enqueue, save as savePipeline } from "./006_queue";
import { claim as claimNotices, send } from "./007_notices";
import { create, invite, join, people, save } from "./008_sessions";

const names = ["006_document_queue", "007_notification_queue", "008_realtime_collaboration"];
const tables = [
  "document_processing_pipelines",
  "document_processing_queue",
  "notification_queue",
  "notification_delivery_channels",
  "collaboration_sessions",
  "collaboration_participants",
  "collaborative_clinical_notes",
  "collaborative_note_versions",
  "collaboration_conflicts",
];

const up = async (engine: Engine): Promise<bigint> => {
  let restored = 0n;
  for (const name of names) restored += (await engine.apply(await loadModule(name))).restored;
  return restored;
};

/** Every row of every table. */
async function contents(client: Client): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const table of tables)
    all[table] = await lines(client, `SELECT t::text AS line FROM public.${table} t ORDER BY 1`);
  return all;
}

/** Something in every table, some of it in the middle of work. */
async function fill(client: Client): Promise<{ patient: string; doctor: string; nurse: string }> {
  const [one, other] = await documents(client);
  await savePipeline(client);
  for (const document of [one, other]) await enqueue(client, document.id);
  await complete(client, (await claimWork(client))[0]!);
  const [patient, doctor, nurse, stranger] = await people(client);
  for (const title of ["a", "b"]) await send(client, stranger, "", title);
  await claimNotices(client, 1);
  await queryAs(client, "authenticated", stranger, "SELECT public.add_notification_channel('sms', '+61 400 000 000')");
  const session = await create(client, doctor, patient);
  await invite(client, doctor, session, nurse, "editor");
  for (const user of [doctor, nurse]) await join(client, user, session);
  const { note_id } = await save(client, doctor, session, "one");
  for (let version = 1; version < 4; version++) await save(client, nurse, session, `more ${version}`, note_id, version);
  await save(client, doctor, session, "lost", note_id, 1);
  return { patient, doctor, nurse };
}

describe("006 to 008, by the engine", function () {
  this.timeout(120_000);

  // module/real.test.ts has the same of all modules together.
  long("D-3: rows come back as they were after a rollback, but those of accounts deleted since", () =>
    withEngine(async (engine, db) => {
      await engine.applyReal("000_audit_log", "001_feature_flags", "004_enhanced_consent", "005_user_preferences");
      await up(engine);
      const client = await db.connect();
      const { patient, doctor } = await fill(client);
      const before = await contents(client);
      for (const table of tables) expect(before[table], table).to.not.deep.equal([]);
      for (const name of [...names].reverse()) await engine.undo(name);
      expect(await up(engine)).to.equal(BigInt(Object.values(before).flat().length));
      expect(await contents(client)).to.deep.equal(before);

      for (const name of [...names].reverse()) await engine.undo(name);
      await client.query("DELETE FROM auth.users WHERE id = $1", [doctor]);
      await up(engine);
      const after = await contents(client);
      expect(JSON.stringify(after)).to.not.include(doctor);
      expect(after["collaborative_note_versions"]).to.have.length(4);
      expect(after["collaboration_participants"]).to.have.length(1);
      await client.query("DELETE FROM auth.users WHERE id = $1", [patient]);
      for (const table of tables.slice(4)) expect(await count(client, `public.${table}`), table).to.equal(0);
    }),
  );
});
