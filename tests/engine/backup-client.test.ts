import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { findClient } from "../../engine/backup";
import { clientFailure, isSpent, speakable } from "../../engine/backup/messages";
import { useFolder } from "../support/folder";
import { refusalOf } from "./module/harness";

describe("the client programs", () => {
  const folder = useFolder("guardian clients ");

  /** A folder with a pg_dump that says this version. */
  function client(version: string, script = `echo "pg_dump (PostgreSQL) ${version} (Some 1)"`): string {
    const bin = folder(version);
    mkdirSync(bin);
    writeFileSync(join(bin, "pg_dump"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, "pg_dump"), 0o755);
    return bin;
  }

  const refusal = async (major: number, env: NodeJS.ProcessEnv): Promise<string> =>
    (await refusalOf(findClient("pg_dump", major, env))).message;

  it("takes the lowest version that is not older than the server", async () => {
    const PATH = ["90.3", "92.1", "91.4", "91.9"].map((one) => client(one)).join(":");
    const found = await findClient("pg_dump", 91, { PATH });
    expect(found).to.deep.equal({ path: folder("91.4", "pg_dump"), major: 91, version: "91.4" });
    expect((await findClient("pg_dump", 92, { PATH })).version).to.equal("92.1");
  });

  it("looks in GUARDIAN_PG_BIN alone, if it is set", async () => {
    const [own, other] = [client("91.1"), client("92.1")];
    expect((await findClient("pg_dump", 90, { PATH: other, GUARDIAN_PG_BIN: own })).version).to.equal("91.1");
    expect(await refusal(92, { PATH: other, GUARDIAN_PG_BIN: own })).to.contain(`where: GUARDIAN_PG_BIN=${own}`);
  });

  it("passes over Debian's wrapper, what cannot run, and what is no client", async () => {
    const wrapper = client("93.1");
    const share = folder("share");
    mkdirSync(share);
    writeFileSync(join(share, "pg_wrapper"), '#!/bin/sh\necho "pg_dump (PostgreSQL) 93.1"\n', { mode: 0o755 });
    rmSync(join(wrapper, "pg_dump"));
    symlinkSync(join(share, "pg_wrapper"), join(wrapper, "pg_dump"));
    const [dumb, broken, good] = [client("94", "echo hello"), client("95", "exit 3"), client("96.2")];
    chmodSync(join(client("97.1"), "pg_dump"), 0o644);
    const PATH = [wrapper, dumb, broken, folder("97.1"), folder("absent"), good].join(":");
    expect((await findClient("pg_dump", 90, { PATH })).version).to.equal("96.2");
  });

  it("names the package if none fits, and the ones that are too old", async () => {
    const old = client("9.6");
    const message = await refusal(98, { PATH: old });
    expect(message).to.contain("pg_dump 98 or later is needed for a PostgreSQL 98 server; only older ones are here: ");
    expect(message).to.contain(`${old}/pg_dump is 9.6`);
    for (const way of [
      "apt-get install postgresql-client-98",
      "dnf install postgresql98",
      "brew install postgresql@98",
    ]) {
      expect(message).to.contain(way);
    }
    expect(await refusal(98, { GUARDIAN_PG_BIN: "/nowhere" })).to.contain(
      "server; none is in the folder that GUARDIAN_PG_BIN names [client-missing]\n",
    );
  });
});

describe("what client programs say", () => {
  it("is shown only where it cannot quote a row", () => {
    const said = [
      "pg_dump: warning: there are circular foreign-key constraints on this table: geheim",
      "pg_dump: error: query failed: ERROR:  permission denied for table users",
      "pg_dump: detail: Query was: LOCK TABLE geheim IN ACCESS SHARE MODE",
      'pg_dump: error: Dumping the contents of table "users" failed: PQgetResult() failed.',
      'pg_dump: detail: Error message from server: ERROR:  invalid input syntax for type uuid: "geheim"',
      'pg_dump: error: query failed: ERROR:  invalid input syntax for type integer: "geheim"',
      "CONTEXT:  geheim",
      "pg_dump: error: could not write to file: No space left on device",
      "geheim without prefix",
      'pg_restore: error: could not execute query: ERROR:  role "anon" does not exist',
      'Command was: GRANT SELECT ON geheim TO "anon"',
      'pg_restore: error: could not execute query: ERROR:  role "a" does not exist, said geheim',
    ];
    const lines = speakable(said.join("\n"));
    expect(lines).to.deep.equal([
      "permission denied for table users",
      'Dumping the contents of table "users" failed: PQgetResult() failed.',
      "query failed (the rest is withheld: it may quote a row)",
      "could not write to file: No space left on device",
      'role "anon" does not exist',
    ]);
    expect(clientFailure("pg_dump", { code: 1, stdout: "", stderr: said.join("\n") }, "here").message).not.to.contain(
      "geheim",
    );
  });

  const causes = {
    "pg_dump: error: could not write to file: No space left on device": "the disk is full, or a limit on file size",
    "pg_dump: error: aborting because of server version mismatch": "the client program is older",
    "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout":
      "another session holds an exclusive",
    'pg_dump: error: connection to server at "h", port 1 failed: FATAL:  sorry, too many clients already':
      "the server has no free",
    "pg_dump: error: query failed: server closed the connection unexpectedly": "the connection to the server was lost",
    'pg_dump: error: query failed: ERROR:  query would be affected by row-level security policy for table "x"':
      "row security hides",
    'pg_dump: error: could not create directory "/x": Permission denied': "the backup's folder cannot be written",
    'pg_dump: error: query failed: ERROR:  invalid snapshot identifier: "x"': "the transaction whose snapshot",
    "pg_dump: error: strange": "it ended with code 1",
  };
  for (const [stderr, cause] of Object.entries(causes)) {
    it(cause, () => {
      const { what } = clientFailure("pg_dump", { code: 1, stdout: "", stderr }, "here");
      expect(what.startsWith(`pg_dump failed: ${cause}`), what).to.equal(true);
    });
  }

  it("a signal is named by its number", () => {
    const { what } = clientFailure("pg_dump", { code: 137, stdout: "", stderr: "" }, "here");
    expect(what).to.equal("pg_dump failed: signal 9 ended it");
  });

  it("17-1 a pg_restore that was killed or had no memory left says nothing of the dump; one that met an error does", () => {
    const spent = (code: number, ...lines: string[]): boolean =>
      isSpent({ code, stdout: "", stderr: lines.map((line) => `pg_restore: ${line}\n`).join("") });
    const lost = "error: a worker process died unexpectedly";
    expect(spent(137)).to.equal(true);
    expect(spent(1, lost)).to.equal(true);
    expect(spent(1, "error: out of memory")).to.equal(true);
    expect(spent(1, 'error: COPY failed for table "t": ERROR:  out of memory', lost)).to.equal(true);
    expect(spent(1, "error: could not execute query: ERROR:  out of shared memory")).to.equal(true);
    // A worker that meets an error ends too.
    expect(spent(1, 'error: COPY failed for table "t": ERROR:  invalid input syntax', lost)).to.equal(false);
    expect(spent(1, 'error: COPY failed for table "t": ERROR:  invalid input: "out of memory"')).to.equal(false);
    expect(spent(1)).to.equal(false);
  });
});
