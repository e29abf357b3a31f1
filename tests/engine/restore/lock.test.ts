import { expect } from "chai";
import { openBackup } from "../../../engine/backup/keep/read";
import { restore } from "../../../engine/backup/restore";
import { takeLock } from "../../../engine/ledger/lock";
import { withClient } from "../../../scripts/v6/database";
import { settingsOf } from "../../../scripts/v6/operator";
import { type Login, withEmpty } from "../../support/postgres";
import { refusal, useDumps } from "../dumps";
import { useScratch } from "../prove/scratch";

describe("a restore", function () {
  this.timeout(240_000);
  const place = useDumps();
  const elsewhere = useScratch();

  it("17-6 lets nobody else restore into that database, nor migrate it, until it is through", () =>
    withEmpty(async (db) => {
      await elsewhere.empty();
      await (await db.connect("admin")).query("CREATE TABLE t AS SELECT 1 AS i");
      const backup = await openBackup((await place.take(db)).path);
      const at = (database: string): Login => ({ ...elsewhere.login(), database });
      const during = async (name: string, work: () => Promise<string>): Promise<string> => {
        let said = "";
        const afterContent = async (): Promise<void> => void (said = await work());
        await restore(backup, settingsOf(at(name)), place.restoring({ afterContent }));
        return said;
      };
      const refused =
        /^another restore, or another command, is at work in (new|there); nothing was written \[restore-refused\]/;
      const again = (name: string) => () =>
        refusal(restore(backup, settingsOf(at(name)), place.restoring({ intoNonempty: name })));
      expect(await during("new", again("new"))).to.match(refused);
      await withClient(elsewhere.login(), (client) => client.query("CREATE DATABASE there"));
      expect(await during("there", again("there")))
        .to.match(refused)
        .and.contain("by guardian-migration restore (pid");
      const options = { stack: "s", patience: 50, lease: 60_000, onWait: () => undefined };
      const { signal } = new AbortController();
      const lock = () => withClient(at("there"), (client) => takeLock(client, { ...options, signal }));
      await withClient(at("there"), (client) => client.query("DROP TABLE t"));
      expect(await during("there", () => refusal(lock()))).to.match(/^another operation holds the migration's lock/);
      await withClient(at("there"), async (client) => {
        await takeLock(client, { ...options, signal });
        expect(await again("there")()).to.match(refused);
      });
      // Who has lost the lock does not go on.
      const ended = (): Promise<void> =>
        withClient(elsewhere.login(), async (client) => {
          const gone = await client.query<{ pid: number }>(
            "SELECT pid, pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory'",
          );
          expect(gone.rows).to.have.length(1);
        });
      expect(
        await refusal(restore(backup, settingsOf(at("other")), place.restoring({ afterContent: ended }))),
      ).to.match(
        /^the restore failed: the session that kept others from this database ended; what is in database other_restoring_\w{8} is not whole/,
      );
      await backup.close();
    }));
});
