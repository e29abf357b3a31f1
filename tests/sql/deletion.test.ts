import { expect } from "chai";
import type { Client } from "pg";
import { foreignKeys, type Key } from "../../scripts/docs/catalogue";
import { addPeople, people, seed } from "../../scripts/docs/specimens";
import { deleteAccount, queryAs, refusal, value, withModules } from "../support/modules";
import { archives, listed, modules as all } from "./every_module";

interface Seeded {
  admin: Client;
  tables: string[];
  keys: Key[];
}

/** A migrated v6 in which a row of every v7 table belongs to the owner; in a second one, another user's, he only acted. */
async function withRowsEverywhere<T>(test: (seeded: Seeded) => T | Promise<T>): Promise<T> {
  const tables = listed("table");
  return withModules(all, async (_, db) => {
    const admin = await db.connect("admin");
    const keys = await foreignKeys(admin, tables);
    const actor = (table: string, column: string): boolean =>
      keys.some(
        (key) =>
          key.table === table && key.column === column && key.action === "SET NULL" && key.target === "auth.users",
      );
    await addPeople(admin, Object.values(people));
    await seed(admin, tables, () => people.owner);
    await seed(admin, tables, (table, column) => (actor(table, column) ? people.owner : people.other), 2);
    return test({ admin, tables, keys });
  });
}

/** Keys that stop a deletion: no action, or NULL where there must be a value. */
const blocking = (keys: readonly Key[]): Key[] =>
  keys.filter((key) => !(key.action === "CASCADE" || (key.action === "SET NULL" && key.nullable)));

/** A column with a key that is generated from the person's, where that is an account. */
const madeOf: Record<string, string> = { account_id: "user_id" };

const count = async (client: Client, table: string, where: string): Promise<number> =>
  Number(await value<string>(client, `SELECT count(*) FROM ${table} WHERE ${where}`));

describe("deletion after v7", function () {
  this.timeout(120_000);

  it("D-3: every key says what becomes of its row: persons cascade, actors are forgotten, audit has none, nothing blocks; as the papers declare it one would", async () => {
    await withRowsEverywhere(async ({ admin, keys, tables }) => {
      expect(keys.length).to.be.above(5);
      expect(blocking(keys), "blocks a deletion, or cannot be forgotten").to.deep.equal([]);
      for (const { table, subject } of archives()) {
        const cascading = keys.filter(
          (key) => key.table === table && key.target === "auth.users" && key.action === "CASCADE",
        );
        expect(
          cascading.map((key) => madeOf[key.column] ?? key.column),
          table,
        ).to.deep.equal(subject === "none" ? [] : [subject]);
      }
      const tied = keys.filter((key) =>
        /^(auth\.|public\.(documents|patient_(medications|allergies|lab|vitals)))/.test(key.target),
      );
      expect(tables.filter((table) => /audit/.test(table) && tied.some((key) => key.table === table))).to.deep.equal(
        [],
      );
      await admin.query(
        `ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_user_id_fkey,
               ADD CONSTRAINT as_declared FOREIGN KEY (user_id) REFERENCES auth.users (id)`,
      );
      await admin.query("ALTER TABLE public.patient_consents ALTER COLUMN created_by SET NOT NULL");
      const seen = blocking(await foreignKeys(admin, tables)).map((key) => `${key.table}.${key.column}`);
      expect(seen).to.deep.equal(["public.patient_consents.created_by", "public.user_preferences.user_id"]);
      const said = await refusal(admin.query("DELETE FROM auth.users WHERE id = $1", [people.owner]));
      expect(said.code).to.be.oneOf(["23503", "23502"]);
    });
  });

  it("D-1: an account goes as under v6, with its row in every table, forgotten where it acted; audit stays", async () => {
    await withRowsEverywhere(async ({ admin, keys, tables }) => {
      const audit = tables.filter((table) => /audit/.test(table));
      const before = new Map<string, number>();
      for (const table of audit) before.set(table, await count(admin, table, "true"));
      expect((await deleteAccount(admin, people.owner)).rowCount).to.equal(1);
      const persons = keys.filter((key) => key.target === "auth.users");
      for (const { table, column, action } of persons) {
        expect(await count(admin, table, `${column} = '${people.owner}'`), `${table}.${column}`).to.equal(0);
        if (action === "CASCADE") {
          expect(await count(admin, table, `${column} = '${people.other}'`), `${table}: the other's row`).to.equal(1);
        }
      }
      expect(await count(admin, "public.documents", `user_id = '${people.owner}'`)).to.equal(0);
      for (const table of audit) {
        expect(await count(admin, table, "true"), table).to.be.at.least(before.get(table) ?? 0);
      }
      for (const person of [people.other, people.provider]) {
        await deleteAccount(admin, person);
      }
      for (const { table, column } of persons.filter((key) => key.action === "CASCADE")) {
        expect(await count(admin, table, `${column} IS NOT NULL`), `${table}: nobody is left`).to.equal(0);
      }
    });
  });

  it("D-2: a document, a lab result and every other row of v6 is deleted as under v6, whatever v7 has of it", async () => {
    await withRowsEverywhere(async ({ admin, keys }) => {
      // Lab results and vital signs before their document: v6's own key blocks it, with v7 and without.
      for (const table of ["lab_results", "vitals", "medications", "allergies", "conditions", "providers"]) {
        await removeOwn(admin, `public.patient_${table}`);
      }
      await removeOwn(admin, "public.documents");
      for (const { table, column, target } of keys.filter(
        (key) => key.target.startsWith("public.patient_") || key.target === "public.documents",
      )) {
        if (target === "public.patient_consents") continue;
        expect(await count(admin, table, `${column} = '${people.owner}'`), `${table}.${column}`).to.equal(0);
      }
    });
  });
});

/** The owner deletes his row, as the application does. */
async function removeOwn(admin: Client, table: string): Promise<void> {
  const gone = await queryAs(admin, "authenticated", people.owner, `DELETE FROM ${table} WHERE id = $1`, [
    people.owner,
  ]);
  expect(gone.rowCount, table).to.equal(1);
}
