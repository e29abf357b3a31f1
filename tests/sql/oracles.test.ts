import { expect } from "chai";
import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { quoteName } from "../../engine/base/sql";
import { columnsOf, specimen } from "../../scripts/docs/specimens";
import { testOn } from "../support/modules";
import { another, callable, callOf, me, nobody, tryAs, twoPatients, type Answer } from "./callers";
import { modules } from "./every_module";

/** v6's own keys, which v7 leaves as they are: a row that names another's document is taken, one that names none is not. */
const ofV6 = [
  "patient_lab_results.source_document_id refers to documents",
  "patient_vitals.source_document_id refers to documents",
];

/** All that is said, and shown; an id that was named is as good as another, and so is one that was made. */
const told = (answer: Answer): string =>
  JSON.stringify(answer).replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) =>
    id === me ? "<me>" : [another, nobody].includes(id) ? "<id>" : "<made>",
  );

/** Every foreign key of a table that a user may write, v6's too, by column: `table.column refers to table`. */
async function keys(admin: Client): Promise<{ name: string; table: string; column: string }[]> {
  const { rows } = await admin.query<{ name: string; table: string; column: string }>(
    `SELECT format('%s.%s refers to %s', c.relname, a.attname, r.relname) AS name, n.nspname || '.' || c.relname AS table, a.attname AS column
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class r ON r.oid = k.confrelid
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
     WHERE k.contype = 'f' AND (has_column_privilege('authenticated', c.oid, a.attnum, 'INSERT')
       OR has_column_privilege('authenticated', c.oid, a.attnum, 'UPDATE')) ORDER BY 1`,
  );
  return rows;
}

/** A test on two patients' rows in every table. */
const test = (title: string, work: (admin: Client) => Promise<void>): Mocha.Test =>
  testOn(modules)(title, async (_client, db) => {
    const admin = await db.connect("admin");
    await twoPatients(admin);
    await work(admin);
  });

describe("whether an id exists", function () {
  this.timeout(120_000);

  test("16-14 no foreign key, and no unique one, of a table that a user may write tells another patient's id from none", async (admin) => {
    const tells: string[] = [];
    const all = await keys(admin);
    expect(all.map(({ name }) => name)).to.include("user_preferences.user_id refers to users");
    for (const { name, table, column } of all) {
      const needed = (await columnsOf(admin, table)).filter(
        (one) => !one.generated && (one.needed || one.name === column || one.name === "user_id"),
      );
      const names = needed.map((one) => escapeIdentifier(one.name)).join(", ");
      for (const conflict of ["", " ON CONFLICT DO NOTHING"]) {
        const insert = (id: string): string =>
          `INSERT INTO ${quoteName(table)} (${names}) VALUES (${needed
            .map((one) => specimen(one.type, one.name === column ? id : me, 3))
            .join(", ")})${conflict}`;
        const update = (id: string): string =>
          `UPDATE ${quoteName(table)} SET ${escapeIdentifier(column)} = ${escapeLiteral(id)}`;
        for (const text of [insert, update]) {
          const [theirs, none] = [
            await tryAs(admin, "authenticated", text(another)),
            await tryAs(admin, "authenticated", text(nobody)),
          ];
          if (told(theirs) !== told(none) && !tells.includes(name)) tells.push(name);
        }
      }
    }
    expect(tells).to.deep.equal(ofV6);
  });

  test("16-14 no function tells another patient's id from none: the same SQLSTATE and message, the same rows, the same to be seen afterwards", async (admin) => {
    const tells: string[] = [];
    const failed: string[] = [];
    let tried = 0;
    // What a user is shown of his session afterwards.
    const shown = `SELECT p.session_id || ' ' || p.user_id || ' ' || p.role || ' ' || p.state || ' ' || p.admitted_by AS line
        FROM public.collaboration_participants AS p WHERE p.session_id = '${me}' ORDER BY p.role, p.state`;
    for (const routine of await callable(admin, "authenticated")) {
      const places = routine.args.flatMap(({ type }, i) => (type.startsWith("uuid") ? [i] : []));
      if (places.length === 0) continue;
      const own = await tryAs(admin, "authenticated", callOf(routine));
      if (own.code !== undefined) failed.push(`${routine.name} ${own.code} ${own.error}`);
      // Every way of naming the other, alone and together with what is mine.
      for (let way = 1; way < 1 << places.length; way++) {
        const call = (id: string): string =>
          callOf(
            routine,
            Object.fromEntries(
              places.flatMap((at, i) => ((way >> i) & 1 ? [[at, specimen(routine.args[at]!.type, id)]] : [])),
            ),
          );
        const [theirs, none] = [
          await tryAs(admin, "authenticated", call(another), shown),
          await tryAs(admin, "authenticated", call(nobody), shown),
        ];
        tried += 1;
        if (told(theirs) !== told(none)) tells.push(`${call("<id>")}: ${told(theirs)}; of nobody's: ${told(none)}`);
      }
    }
    expect(failed, "with my own ids it does its work").to.deep.equal([]);
    expect(tells).to.deep.equal([]);
    expect(tried).to.be.above(40);
    for (const column of ["is_account", "account_id"]) {
      const read = `SELECT ${column} FROM public.collaboration_participants`;
      expect((await tryAs(admin, "authenticated", read)).code, column).to.equal("42501");
    }
  });
});
