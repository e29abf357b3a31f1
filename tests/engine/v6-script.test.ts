import { expect } from "chai";
import { compareFingerprints } from "../../engine/fingerprint/compare";
import { quickFingerprint } from "../../engine/fingerprint/take";
import { runV6Script } from "../../engine/fingerprint/v6-script";
import { long } from "../support/long";
import { withV6 } from "../support/postgres";

/** The steps that do not pass after some SQL that a superuser runs. */
async function broken(sql: string): Promise<string[]> {
  return withV6(async (db) => {
    await (await db.connect("admin")).query(sql);
    const { passed, steps } = await runV6Script(await db.connect("admin"));
    const failed = steps.filter((step) => !step.passed);
    expect(passed).to.equal(failed.length === 0);
    return failed.map((step) => `${step.name}: ${step.reason ?? ""}`);
  });
}

describe("v6 script", function () {
  this.timeout(60_000);

  for (const profiles of [true, false]) {
    const test = profiles ? it : long;
    test(`passes on v6 ${profiles ? "with" : "without"} profiles and leaves nothing`, async () => {
      await withV6(
        async (db) => {
          const [migrator, admin] = [await db.connect(), await db.connect("admin")];
          const before = await quickFingerprint(admin);
          for (const client of [migrator, admin]) {
            const { passed, steps } = await runV6Script(client);
            expect(steps.filter((step) => !step.passed)).to.deep.equal([]);
            expect(passed).to.equal(true);
            expect(steps).to.have.lengthOf(16);
          }
          expect(compareFingerprints(before, await quickFingerprint(admin))).to.deep.equal([]);
        },
        { profiles },
      );
    });
  }

  it("sees that accounts cannot be deleted any more, even if only an old one is held", async () => {
    const found = await broken(
      `CREATE SCHEMA aside; CREATE TABLE aside.t (patient uuid REFERENCES auth.users (id));
       INSERT INTO aside.t SELECT id FROM auth.users WHERE email = 'user21@example.test'`,
    );
    expect(found).to.have.lengthOf(1);
    expect(found[0]).to.match(
      /^delete a row of auth.users that aside.t.t_patient_fkey refers to: PostgreSQL refused: .* \(SQLSTATE 23503\)$/,
    );
    expect(found[0]).not.to.contain("user21");
  });

  it("sees a trigger that swallows the deletion", async () => {
    const found = await broken(
      `CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER keep BEFORE DELETE ON documents FOR EACH ROW EXECUTE FUNCTION public.keep()`,
    );
    expect(found).to.deep.equal([
      "delete a document: expected 1 row(s), got 0",
      "delete the account and all its rows: 1 row(s) of the deleted account are left in documents",
      "delete an account that was there before: 1 row(s) of the deleted account are left in documents",
    ]);
  });

  it("sees that isolation is gone, and that API roles lost a right", async () => {
    expect(
      (await broken("ALTER TABLE documents DISABLE ROW LEVEL SECURITY")).map((line) => line.split(":")[0]),
    ).to.include("see nobody else's documents");
    expect(await broken("REVOKE INSERT ON patient_vitals FROM authenticated")).to.deep.equal([
      "add and change a row of patient_vitals: PostgreSQL refused: permission denied for table patient_vitals (SQLSTATE 42501)",
    ]);
  });
});
