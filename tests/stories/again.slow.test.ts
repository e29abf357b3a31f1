import { expect } from "chai";
import type { Client } from "pg";
import { afterUp } from "../support/migrated";
import { count } from "../support/modules";
import { asRole } from "../support/postgres";
import { differences, existing, type Story } from "../support/story";

describe("what v7 collected, on the real CLI", function () {
  this.timeout(600_000);

  // module/real.test.ts has rows of every module come back, below the CLI.
  it("three times up and down: rows that v7 collected come back each time, and go with their account", function () {
    return afterUp(async (it) => {
      const { stack, client, db, before } = it;
      const { rows: users } = await client.query<{ id: string }>(`SELECT id FROM ${existing} ORDER BY id LIMIT 3`);
      for (const [round, { id }] of users.entries()) {
        if (round > 0) await stack.up();
        expect(await revoked(it), `round ${round + 1}`).to.equal(round);
        const as = (text: string): Promise<unknown> => asRole(client, "authenticated", id, (c) => c.query(text, [id]));
        await as("UPDATE public.user_preferences SET theme = 'dark' WHERE user_id = $1");
        await as(
          "SELECT public.revoke_patient_consent(id, 'no longer wanted') FROM public.patient_consents WHERE patient_id = $1",
        );
        expect(await revoked(it)).to.equal(round + 1);
        // What was withdrawn is not given back: still one row for each of them.
        expect(await count(client, "public.patient_consents")).to.equal(await count(client, existing));
        await stack.destroy();
        expect(differences(before, await it.fingerprint()), `round ${round + 1}`).to.deep.equal([]);
      }
      // The archive keeps nobody's rows whose account is deleted under v6.
      const [{ id: gone }] = users as [{ id: string }];
      const admin = await db.connect("admin");
      const archived = await archivedOf(admin, gone);
      expect(archived).to.include.members(["patient_consents", "user_preferences"]);
      expect(archived.filter((name) => name.includes("audit"))).not.to.be.empty;
      await admin.query("DELETE FROM auth.users WHERE id = $1", [gone]);
      expect((await archivedOf(admin, gone)).filter((name) => !name.includes("audit"))).to.deep.equal([]);
    });
  });
});

/** The archived tables that hold somebody's id, by the names they had. */
async function archivedOf(admin: Client, user: string): Promise<string[]> {
  const { rows } = await admin.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'guardian_archive' ORDER BY 1",
  );
  const found: string[] = [];
  for (const { name } of rows)
    if ((await count(admin, `guardian_archive."${name}" t WHERE t::text LIKE $1`, [`%${user}%`])) > 0)
      found.push(name.replace(/__\d+$/, ""));
  return found;
}

async function revoked({ client }: Story): Promise<number> {
  return count(client, "public.patient_consents WHERE revoked_at IS NOT NULL");
}
