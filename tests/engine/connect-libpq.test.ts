import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { openClient, resolveConnection } from "../../engine/connect";
import { discard } from "../../engine/connect/open";
import { GuardianError } from "../../engine/base/errors";
import type { Server } from "../../engine/server/server";
import { useFolder } from "../support/folder";
import { server } from "../support/postgres";
import { skip } from "../support/skip";

const question = "SELECT current_user || '/' || current_database() || '/' || current_setting('work_mem') AS answer";

/** The same environment and files for psql and for this product: both must end up in the same place, or nowhere. */
describe("resolution agrees with libpq", function () {
  this.timeout(120_000);
  let on: Server;
  const home = useFolder("guardian libpq ");

  before(async function () {
    if (spawnSync("psql", ["--version"]).error) skip(this, "no psql on PATH");
    on = await server();
  });

  function theirs(env: NodeJS.ProcessEnv): string {
    const { status, stdout } = spawnSync("psql", ["-XAtwc", question], { env, encoding: "utf8" });
    return status === 0 ? stdout.trim() : "refused";
  }

  async function ours(env: NodeJS.ProcessEnv): Promise<string> {
    try {
      const client = await openClient(resolveConnection({}, env), "test");
      const { rows } = await client.query<{ answer: string }>(question);
      await discard(client);
      return rows[0]?.answer ?? "";
    } catch (err) {
      if (err instanceof GuardianError) return "refused";
      throw err;
    }
  }

  interface Case {
    title: string;
    env?: Record<string, string>;
    /** The file of services, of which s is asked for, with the password besides, where no variables are named. */
    service?: string;
    pass?: string;
    passMode?: number;
    /** Where both end up: absent, where nothing but the server is named. */
    expected?: string;
  }

  /** PORT and PW stand for the server's; PGHOST, PGPORT and PGUSER are right unless a case says otherwise. */
  const cases: Case[] = [
    { title: "variables", env: { PGPASSWORD: "PW", PGDATABASE: "template1" }, expected: "postgres/template1/4MB" },
    { title: "database named as the user", env: { PGPASSWORD: "PW" } },
    { title: "no password", expected: "refused" },
    { title: "PGOPTIONS", env: { PGPASSWORD: "PW", PGOPTIONS: "-c work_mem=1MB" }, expected: "postgres/postgres/1MB" },
    {
      title: "a service, which beats variables",
      env: { PGSERVICE: "s", PGPORT: "1", PGPASSWORD: "wrong", PGDATABASE: "template1" },
      service: "[r]\nport=2\n[s]\n# x\nport=PORT\npassword=PW\noptions=-c work_mem=2MB\n[t]\nport=3\n",
      expected: "postgres/template1/2MB",
    },
    { title: "a service that is not there", service: "[r]\n", expected: "refused" },
    { title: "a service with a wrong keyword", service: "[s]\nprot=1\n", expected: "refused" },
    { title: "a service with blanks", service: "[s]\nport = PORT\n", expected: "refused" },
    { title: "another section's wrong line", service: "[r]\nx\n[s]\n" },
    { title: "a wrong sslmode", env: { PGSSLMODE: "sometimes", PGPASSWORD: "PW" }, expected: "refused" },
    { title: "a wrong port", env: { PGPORT: "0", PGPASSWORD: "PW" }, expected: "refused" },
    { title: "the password file", pass: "127.0.0.1:PORT:postgres:postgres:PW" },
    { title: "wildcards, comments, first match", pass: "#*:*:*:*:x\nother:*:*:*:y\n*:*:*:*:PW\n*:*:*:*:z" },
    { title: "a first match that is wrong", pass: "*:*:*:*:wrong\n*:*:*:*:PW", expected: "refused" },
    { title: "a password file for another host", pass: "localhost:*:*:*:PW", expected: "refused" },
    { title: "a password file that others read", pass: "*:*:*:*:PW", passMode: 0o640, expected: "refused" },
    { title: "escapes", pass: "127.0.0\\.1:*:post\\gres:*:\\PW:ignored" },
    { title: "PGPASSWORD before the password file", env: { PGPASSWORD: "PW" }, pass: "*:*:*:*:wrong" },
    { title: "an empty PGPASSWORD counts as none", env: { PGPASSWORD: "" }, pass: "*:*:*:*:PW" },
    {
      title: "hostaddr is dialled, host looked up in the password file",
      env: { PGHOST: "db.example", PGHOSTADDR: "127.0.0.1" },
      pass: "db.example:*:*:*:PW",
    },
  ];

  for (const {
    title,
    service,
    env = service ? { PGSERVICE: "s", PGPASSWORD: "PW" } : {},
    pass,
    passMode,
    expected = "postgres/postgres/4MB",
  } of cases) {
    it(title, async () => {
      const real = (text: string) => text.replaceAll("PORT", String(on.port)).replaceAll("PW", on.password);
      const all: NodeJS.ProcessEnv = {
        HOME: home(),
        PATH: process.env.PATH,
        PGHOST: "127.0.0.1",
        PGPORT: String(on.port),
        PGUSER: "postgres",
      };
      for (const [name, value] of Object.entries(env)) all[name] = real(value);
      if (service) writeFileSync(home(".pg_service.conf"), real(service));
      if (pass) writeFileSync(home(".pgpass"), real(pass));
      if (pass) chmodSync(home(".pgpass"), passMode ?? 0o600);
      expect(theirs(all), "psql").to.equal(expected);
      expect(await ours(all), "ours").to.equal(expected);
    });
  }
});
