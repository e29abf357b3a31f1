import { expect } from "chai";
import type { Client } from "pg";
import { ledgerTable, ledgerTableNames } from "../../engine/ledger/schema";
import { foreignKeys } from "../../scripts/docs/catalogue";
import { staying } from "../../scripts/docs/erasure";
import { reasons, type ReasonName } from "../../scripts/docs/erasure/list";
import { long } from "../support/long";
import { count, deleteAccount, lines, service, testOn, withModules } from "../support/modules";
import { erased, findMarks, markEverything, marks } from "./erasure_marks";
import { archives, listed, modules } from "./every_module";

const v6 = [
  ...["auth.users", "public.documents", "public.user_profiles"],
  ...["medications", "allergies", "conditions", "lab_results", "vitals", "providers"].map(
    (name) => `public.patient_${name}`,
  ),
];
const ours = listed("table");
const ledger = [...ledgerTableNames].reverse().map(ledgerTable);

/** What stays in rows of others, by the list; in rows of no account another one decides. */
const ofOthers = [
  ...new Set(staying((Object.keys(reasons) as ReasonName[]).filter((name) => !["pending", "invited"].includes(name)))),
].sort();
const v6Columns = new Set(staying(["v6"]));
const v6OfNoAccount = [...v6Columns].filter((column) => !column.startsWith("public.user_profiles."));
const ofNoAccount = [...v6OfNoAccount, ...staying(["invited"]), "public.fhir_sync_jobs.resource_type"].sort();

const expire = (admin: Client): Promise<string> => service(admin, "SELECT public.expire_fhir_exchange()");

/** Two lists are the same; what differs is named by itself, since they are long. */
function expectSame(found: readonly string[], wanted: readonly string[], what: string): void {
  const undecided = found.filter((column) => !wanted.includes(column));
  const gone = wanted.filter((column) => !found.includes(column));
  expect({ undecided, gone }, what).to.deep.equal({ undecided: [], gone: [] });
}

const test = testOn(modules);

describe("erasure", function () {
  this.timeout(120_000);

  test("16-14 of somebody who is marked in every column of every schema, nothing is left but what stays for a named reason", async (_, db) => {
    const admin = await db.connect("admin");
    const all =
      "SELECT format('%s.%s', schemaname, tablename) AS line FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema$)'";
    expect(await lines(admin, all), "a table that this test marks nothing in").to.have.members([
      ...v6,
      ...ours,
      ...ledger,
    ]);
    // The ledger's one row is marked too.
    await admin.query("DELETE FROM guardian_migration.ledger");
    await markEverything(admin, [...v6, ...ours, ...ledger]);
    await deleteAccount(admin, erased);
    expectSame(await findMarks(admin, marks.ofHim), ofOthers, "of him, in rows of others");
    const unlinked = [...ofNoAccount, ...staying(["pending"])];
    expectSame(await findMarks(admin, marks.unlinked), unlinked, "of him, in rows of no account");
    expect(await expire(admin)).to.equal("3");
    expectSame(await findMarks(admin, marks.unlinked), ofNoAccount, "in rows of no account, after 28 days");
  });

  long(
    "16-14 in the archive of a rollback the same is left, and ids that are forgotten when the rows come back; what was his does not",
    () =>
      withModules(modules, async (_, db, engine) => {
        const admin = await db.connect("admin");
        const archived = archives().map(({ table }) => table);
        const kept = (columns: readonly string[]): string[] =>
          columns.filter(
            (column) => archived.includes(column.split(".").slice(0, 2).join(".")) || v6Columns.has(column),
          );
        const actors = (await foreignKeys(admin, archived))
          .filter((key) => key.target === "auth.users" && key.action === "SET NULL")
          .map((key) => `${key.table}.${key.column}`);
        await markEverything(admin, [...v6, ...ours]);
        for (const name of [...modules].reverse()) await engine.undo(name);
        await deleteAccount(admin, erased);
        const waiting = (await findMarks(admin, marks.ofHim)).map((column) =>
          column.replace(/^guardian_archive\.(.*)__\d+\./, "public.$1."),
        );
        expectSame(waiting, [...kept(ofOthers), ...actors], "of him, in the archive");
        await engine.applyReal(...modules);
        expect(await count(admin, "guardian_migration.reject")).to.equal(0);
        expectSame(await findMarks(admin, marks.ofHim), kept(ofOthers), "of him, in rows that came back");
        expect(await expire(admin)).to.equal("3");
        expectSame(await findMarks(admin, marks.unlinked), ofNoAccount, "in rows of no account, after 28 days");
      }),
  );
});
