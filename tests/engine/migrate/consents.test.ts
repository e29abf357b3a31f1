import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { planMove, readMoved } from "../../../engine/migrate";
import { column } from "../module/harness";
import { withData } from "./data";
import { assumed } from "./harness";

const odd = `
  UPDATE auth.users SET created_at = NULL WHERE id IN (SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' AND deleted_at IS NULL ORDER BY id LIMIT 2);
  UPDATE auth.users SET created_at = 'infinity' WHERE id = (SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' AND deleted_at IS NULL ORDER BY id LIMIT 1);
  UPDATE auth.users SET created_at = '-infinity' WHERE id = (SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' AND isfinite(created_at) AND deleted_at IS NULL ORDER BY id LIMIT 1);
  UPDATE auth.users SET created_at = '0044-03-15 BC' WHERE id = (SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' AND isfinite(created_at) AND deleted_at IS NULL ORDER BY id LIMIT 1);
  UPDATE auth.users SET created_at = now() + interval '1 year' WHERE id IN (SELECT id FROM auth.users WHERE created_at BETWEEN '2000-01-01' AND now() - interval '2 days' AND deleted_at IS NULL ORDER BY id LIMIT 3);
  UPDATE auth.users SET deleted_at = now() WHERE id IN (SELECT id FROM auth.users WHERE created_at BETWEEN '2000-01-01' AND now() - interval '2 days' AND deleted_at IS NULL ORDER BY id LIMIT 4)`;

/** A process that runs a statement as somebody else, and prints the id that it returns. */
const another = `const { login, gone } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
  const client = new (require("pg").Client)(login);
  client.connect().then(() => client.query(gone)).then(({ rows }) => process.stdout.write(rows[0].id)).finally(() => client.end());`;

describe("the consents of v6's accounts", function () {
  this.timeout(60_000);

  it("16-13 who is deleted, or was created never, nowhere or in the future, is left out and counted by reason, before and after", () =>
    withData("consents", async ({ engine, db, client, migration, move }) => {
      const admin = await db.connect("admin");
      const [none] = await column<number>(client, "SELECT count(*)::int FROM auth.users WHERE created_at IS NULL");
      await admin.query(odd);
      const [young] = await column<number>(
        client,
        "SELECT count(*)::int FROM auth.users WHERE created_at BETWEEN now() - interval '1 day' AND now() AND deleted_at IS NULL",
      );
      const [deleted] = await column<number>(
        client,
        "SELECT count(*)::int FROM auth.users WHERE deleted_at IS NOT NULL",
      );
      const leftOut = {
        deleted,
        "without a time of creation": 2 + none!,
        "with a time of creation that cannot be": 3,
        "with a time of creation in the future": 3,
        "not older than a day": young,
      };
      const planned = await engine.host.read((tx) => planMove(tx, migration, assumed));
      expect(planned.leftOut).to.deep.equal(leftOut);
      expect(planned.written).to.equal(planned.source);
      const { written } = await move();
      expect(written).to.equal(planned.source);
      const moved = await engine.host.read((tx) => readMoved(tx, engine.urn("DataMigration", "consents")));
      expect([moved.leftOut, moved.rejected]).to.deep.equal([leftOut, 0n]);
      const [all] = await column<string>(client, "SELECT count(*) FROM auth.users");
      expect(Object.values(leftOut).reduce<number>((sum, n) => sum + n!, Number(written))).to.equal(Number(all));
      expect(
        await column(
          client,
          "SELECT count(*) FROM public.patient_consents c JOIN auth.users u ON u.id = c.patient_id WHERE u.deleted_at IS NOT NULL",
        ),
      ).to.deep.equal(["0"]);
    }));

  it("16-13 a v6 without the column deleted_at is migrated as well", () =>
    withData("consents", async ({ engine, db, client, migration, move }) => {
      const admin = await db.connect("admin");
      await admin.query("ALTER TABLE auth.users DROP COLUMN deleted_at");
      const { leftOut } = await engine.host.read((tx) => planMove(tx, migration, assumed));
      expect(Object.keys(leftOut).sort()).to.deep.equal(["not older than a day", "without a time of creation"]);
      const { written } = await move();
      const [old] = await column<string>(
        client,
        "SELECT count(*) FROM auth.users WHERE created_at < now() - interval '1 day'",
      );
      expect(String(written)).to.equal(old);
    }));

  it("16-13 who is deleted while the rows move loses the row that was just moved for him", () =>
    withData("consents", async ({ engine, db, client, move }) => {
      const gone =
        "UPDATE auth.users SET deleted_at = now() WHERE id = (SELECT patient_id FROM public.patient_consents ORDER BY 1 LIMIT 1) RETURNING id";
      const ids: string[] = [];
      engine.onProgress = (progress) => {
        if (progress.phase !== "prove" || ids.length > 0) return;
        // The migration waits meanwhile, or it might be through before.
        const input = JSON.stringify({ login: db.admin, gone });
        ids.push(execFileSync(process.execPath, ["-e", another], { input, encoding: "utf8" }));
      };
      await move();
      expect(ids[0]).to.have.length(36);
      expect(
        await column(client, `SELECT count(*) FROM public.patient_consents WHERE patient_id = '${ids[0]!}'`),
      ).to.deep.equal(["0"]);
    }));
});
