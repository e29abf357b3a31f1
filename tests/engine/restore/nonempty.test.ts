import { expect } from "chai";
import { openBackup } from "../../../engine/backup/keep/read";
import { restore } from "../../../engine/backup/restore";
import { settingsOf } from "../../../scripts/v6/operator";
import { major, withEmpty } from "../../support/postgres";
import { skip } from "../../support/skip";
import { refusal, useDumps, wrappers } from "../dumps";
import { lastly } from "../../support/lastly";

/** What is there: rows that anybody may write, and numbers that are given to them. */
const there = `CREATE TABLE visits (id int DEFAULT 1, note text); CREATE SEQUENCE numbers;
  INSERT INTO visits SELECT n, 'then' FROM generate_series(1, 3) n; SELECT setval('numbers', 10)`;

describe("a whole backup that goes into a database that is not empty", function () {
  this.timeout(240_000);
  const place = useDumps();

  /** A folder of clients that say that they are of the next version: they are run as any newer ones are. */
  const newer = (): string =>
    wrappers(
      place.folder,
      place.bin,
      (name) => `[ "$1" = --version ] && { echo '${name} (PostgreSQL) ${major + 1}.0'; exit; }`,
    );

  /** Rows and numbers that are there after a restore from then into what is there now, and what it said. */
  const restored = (bin: () => string): Promise<{ found: unknown; said: string }> =>
    withEmpty((from) =>
      withEmpty(async (to) => {
        const [then, now] = [await from.connect("admin"), await to.connect("admin")];
        await then.query(there);
        await now.query(`${there}; DELETE FROM visits WHERE id = 2; SELECT setval('numbers', 4711)`);
        const made = await place.take(from);
        const backup = await openBackup(made.path);
        const told = place.restoring({ env: { GUARDIAN_PG_BIN: bin() }, roles: false, intoNonempty: to.name });
        const said = await lastly(refusal(restore(backup, settingsOf(to.admin), told)), () => backup.close());
        const { rows } = await now.query(
          "SELECT (SELECT array_agg(id ORDER BY id) FROM visits) AS ids, (SELECT last_value FROM numbers) AS last",
        );
        return { found: rows, said };
      }),
    );
  const asItWas = [{ ids: [1, 3], last: "4711" }];

  it("17-6 stops at a table that is there already, and has nobody drop what was there before", async function () {
    if (major === 16) skip(this, "tests of PostgreSQL 16 have the clients of 17 alone, by which it is refused");
    const { found, said } = await restored(() => place.bin);
    expect(found, said).to.deep.equal(asItWas);
    expect(said)
      .to.match(
        / has what was in it before, and of the backup a part besides \[restore-failed\]\n.*\n {2}to do: do not drop it: /,
      )
      .and.not.contain("empty or drop");
  });

  it("17-6 by clients that are newer than the server, which do not stop there, adds no rows and sets no sequence back: it is refused", async () => {
    const { found, said } = await restored(newer);
    expect(found, said).to.deep.equal(asItWas);
    expect(said).to.match(
      / is not empty, and pg_restore \d+, which is newer .*; nothing was written \[restore-refused\]/,
    );
  });
});
