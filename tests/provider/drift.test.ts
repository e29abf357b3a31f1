import { expect } from "chai";
import type { Client } from "pg";
import { hash } from "../../engine/base/hash";
import { inventoryVersion } from "../../engine/module/inventory";
import { toFacts1 } from "../support/format-1";
import type { V6 } from "../support/postgres";
import { outcome, withMade, withWalk, type Held, type Walk } from "../support/walk";
import { opened } from "../support/wire";

const silent = "CREATE RULE silent AS ON INSERT TO public.audit_log DO INSTEAD NOTHING";

/** What the state of the older release has of a table. */
async function firstFingerprint(client: Client): Promise<string> {
  const { rows } = await client.query<{ definition: string }>(
    "SELECT definition FROM guardian_migration.object WHERE object = 'table public.audit_log'",
  );
  return hash(rows[0]?.definition).slice(0, 12);
}

describe("provider: drift", function () {
  this.timeout(60_000);

  /** Module 000 is there; whoever looks at it is a process of its own, since one that has read, has read. */
  const applied = (test: (audit: Held, db: V6, look: typeof later) => Promise<void>): Promise<void> =>
    withMade(["000_audit_log"], ({ modules }, db) => test(modules[0]!, db, later));
  const later = <T>(db: V6, ask: (walk: Walk) => Promise<T>): Promise<T> => withWalk({ database: db.migrator }, ask);
  it("16-11 sees what hangs on a table whatever its name, rules, children and publications; names are one line", () =>
    applied(async (audit, db, look) => {
      const admin = await db.connect("admin");
      await admin.query('CREATE POLICY "see\n\u001b[2J all" ON public.audit_log FOR SELECT TO anon USING (true)');
      await admin.query(
        'CREATE TRIGGER "a\nb" BEFORE INSERT ON public.audit_log FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
      );
      await admin.query("CREATE UNIQUE INDEX one_action ON public.audit_log (action)");
      await look(db, async (walk) => {
        expect((await walk.diff(audit)).changes).to.equal("some");
        expect(walk.said("warning").sort()).to.deep.equal([
          "drift: index public.one_action was added by hand",
          "drift: policy see\\u000a\\u001b[2J all on public.audit_log was added by hand",
          "drift: trigger a\\u000ab on public.audit_log was added by hand",
        ]);
      });
      await admin.query(`DROP POLICY "see\n\u001b[2J all" ON public.audit_log; DROP TRIGGER "a\nb" ON public.audit_log;
        DROP INDEX public.one_action`);
      for (const [make, unmake, line] of [
        [silent, "DROP RULE silent ON public.audit_log", "now: rule CREATE RULE silent AS"],
        [
          "CREATE TABLE public.copy () INHERITS (public.audit_log)",
          "DROP TABLE public.copy",
          'now: child "public.copy"',
        ],
        ["CREATE PUBLICATION out FOR TABLE public.audit_log", "DROP PUBLICATION out", 'now: published by "out"'],
      ] as const) {
        await admin.query(make);
        await look(db, async (walk) => {
          expect(await walk.diff(audit), make).to.deep.equal({
            changes: "some",
            paths: { definitions: "update, output" },
          });
          expect(await outcome(walk.update(audit)))
            .to.contain("[objects-changed]")
            .and.contain(line);
        });
        await admin.query(unmake);
      }
      await look(db, async (walk) => expect((await walk.diff(audit)).changes).to.equal("none"));
    }));

  it("16-11 facts that an older release did not record are no drift; up records them, and then they are", () =>
    applied(async (audit, db, look) => {
      const admin = await db.connect("admin");
      await toFacts1(admin);
      await admin.query("CREATE RULE ours AS ON DELETE TO public.audit_log DO INSTEAD NOTHING");
      const held: Held = { ...audit, state: { ...audit.state } };
      delete held.state["facts"];
      await look(db, async (walk) => {
        expect(await walk.diff(held)).to.deep.equal({ changes: "some", paths: { facts: "update, output" } });
        const planned = await walk.update(held, held.inputs, { preview: true });
        expect(planned.state["facts"]).to.equal(inventoryVersion);
        const said = walk.plugin.engine.logs.map(({ severity, message }) => `${severity}: ${message}`).join("\n");
        expect(said).to.match(/info: .*the ledger records of \d+ objects what an older release did not look at/);
        expect(said).to.match(
          /warning: recorded as it is, whoever made it: table public\.audit_log: rule CREATE RULE ours AS/,
        );
        // A refresh finds nothing that was not told then.
        const read = await walk.read(held);
        expect(read.state["facts"]).to.equal(1);
        expect(opened(read.state["definitions"])).to.have.property(
          "table public.audit_log",
          await firstFingerprint(admin),
        );
        expect(walk.said("warning").filter((line) => line.startsWith("drift"))).to.deep.equal([]);
      });
      const renewed = await look(db, (walk) => walk.update(held));
      expect(renewed.state["facts"]).to.equal(inventoryVersion);
      await look(db, async (walk) => expect(await walk.diff(renewed)).to.deep.equal({ changes: "none", paths: {} }));
      await admin.query(silent);
      await look(db, async (walk) => {
        expect((await walk.diff(renewed)).paths).to.have.property("definitions");
        expect(walk.said("warning")).to.deep.equal([
          "drift: table public.audit_log was changed by hand: now: rule CREATE RULE silent AS; now: ON INSERT TO public.audit_log DO INSTEAD NOTHING; fires O",
        ]);
      });
    }));

  it("16-11 what the older release did see is not recorded over", () =>
    applied(async (audit, db, look) => {
      const admin = await db.connect("admin");
      await toFacts1(admin);
      await admin.query("ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY");
      await look(db, async (walk) => expect(await outcome(walk.update(audit))).to.contain("[objects-changed]"));
      const { rows } = await admin.query("SELECT DISTINCT facts FROM guardian_migration.object");
      expect(rows).to.deep.equal([{ facts: 1 }]);
    }));

  it("16-8 no name that others chose moves the terminal's cursor", () =>
    applied(async (audit, db, look) => {
      const admin = await db.connect("admin");
      await admin.query('CREATE VIEW public."v\u001b[2J\u009bx" AS SELECT action FROM public.audit_log');
      await look(db, async (walk) => {
        const message = await outcome(walk.remove(audit));
        expect(message).to.contain("[dependent-objects]").and.contain("v\\u001b[2J\\u009bx");
        expect(message).not.to.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      });
    }));
});
