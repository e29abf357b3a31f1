import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { openBackup } from "../../engine/backup/keep/read";
import { ownMark } from "../../engine/base/process";
import { main } from "../../scripts/backups";
import { clientFolder } from "../../scripts/pg-clients";
import { useScratch } from "../engine/prove/scratch";
import { major, withV6, type V6 } from "../support/postgres";
import { withWalk, type Walk } from "../support/walk";
import { withFolder } from "../support/folder";

interface Said {
  code: number;
  printed: string;
  said: string;
}

/** A database with a ledger, the backups of two changes in it, and the command in a project whose stack they are of. */
interface Project {
  db: V6;
  walk: Walk;
  folder: string;
  backups: string;
  /** Names of the two, the older first. */
  names: [string, string];
  /** @param at ^C comes with the line that begins so; or hears of each line */
  run: (args: string[], answer?: string, at?: string | ((line: string) => void)) => Promise<Said>;
  configure: (backup: object, database?: object) => void;
}

function withProject(work: (it: Project) => Promise<void>): Promise<void> {
  return withV6((db) =>
    withWalk({ database: db.migrator }, async (walk) => {
      const ledger = await walk.create("Ledger", "ledger", { purge: false });
      const { ledgerId } = ledger.state as { ledgerId: string };
      const backups = join(walk.folder, "backups");
      const taken = async (modules: string[]): Promise<string> => {
        const held = await walk.create("Backup", "backup", walk.backupArgs(ledgerId, modules));
        return (held.state["path"] as string).split("/").at(-1) ?? "";
      };
      const names: [string, string] = [
        await taken(["000_audit_log"]),
        await taken(["000_audit_log", "001_feature_flags"]),
      ];
      return withFolder(async (folder) => {
        const { host, port, user, password } = db.migrator;
        const own = { host, port, user, database: db.name, sslmode: "disable", passwordFrom: "env:OWN" };
        const configure = (backup: object, database: object = own): void =>
          writeFileSync(
            join(folder, "Pulumi.dev.yaml"),
            stringify({
              config: { "guardian:database": database, "guardian:backup": { directory: backups, jobs: 1, ...backup } },
            }),
          );
        configure({});
        const run: Project["run"] = async (args, answer, at) => {
          const [said, printed]: [string[], string[]] = [[], []];
          const stop = new AbortController();
          const say = (line: string): void => {
            said.push(line);
            if (typeof at === "function") at(line);
            else if (at !== undefined && line.startsWith(at)) stop.abort();
          };
          const ask = answer === undefined ? undefined : (question: string) => (say(question), Promise.resolve(answer));
          const env = { OWN: password, GUARDIAN_PG_BIN: await clientFolder(major), HOME: folder };
          const { signal } = stop;
          const code = await main(args, { clone: folder, env, say, print: (line) => printed.push(line), ask, signal });
          const all = { code, printed: printed.join("\n"), said: said.join("\n") };
          expect(all.printed + all.said).not.to.contain(password);
          return all;
        };
        await work({ db, walk, folder, backups, names, run, configure });
      });
    }),
  );
}

const dev = ["--stack", "dev"];

describe("npm run backups", function () {
  this.timeout(180_000);
  const elsewhere = useScratch();

  it("17-6 lists, proves, restores and prunes, with the ledger and without", () =>
    withProject(async ({ db, backups, names, run, configure, folder }) => {
      const [older, newer] = names;
      const list = await run(["list", ...dev]);
      expect(list.code, list.said).to.equal(0);
      expect(list.printed)
        .to.contain(older)
        .and.match(new RegExp(`${newer} .*nobody restored it +relied on by \\d changes to come of dev::`));
      const read = JSON.parse((await run(["list", ...dev, "--json"])).printed) as {
        backups: { id: string; own: boolean; reliedOnBy: string | null }[];
      };
      expect(read.backups.map(({ id, own, reliedOnBy }) => [id, own, reliedOnBy !== null])).to.deep.equal([
        [older, true, false],
        [newer, true, true],
      ]);
      // The folder is all that there is.
      const bare = await run(["list", "--directory", backups]);
      expect(bare).to.deep.include({ code: 0 });
      expect(bare.said).to.contain("no stack is named, so what relies on them is not known");
      expect(bare.printed).to.contain(newer).and.not.contain("relied on");
      configure({}, { host: "127.0.0.1", port: 1, database: "g", user: "u", sslmode: "disable" });
      const down = await run(["list", ...dev]);
      expect(down.said).to.match(
        /^the ledger cannot be read, so what relies on them is not known: no PostgreSQL server answers/,
      );
      expect(down).to.deep.include({ code: 0 });
      for (const how of [dev, ["--directory", backups]]) {
        const refused = await run(["prune", "--yes", ...how]);
        expect(refused).to.deep.include({ code: 1 });
        expect(refused.said).to.match(
          /^the ledger, which says what relies on which backup, .*; nothing was removed \[prune-refused\]/,
        );
      }
      expect((await run(["prune", "--yes", "--directory", backups])).said).to.contain("--stack NAME");

      // Proven from the folder alone, which then says so.
      const proven = await run(["verify", older, "--directory", backups, "--json"]);
      expect(proven.code, proven.said).to.equal(0);
      expect(proven.said).to.contain(`${older} is proven: restored in `);
      expect(JSON.parse(proven.printed)).to.include({ id: older, verdict: "proven" });
      expect((await run(["list", "--directory", backups])).printed).to.match(
        new RegExp(`${older} .* proven \\d.*, back in [\\d.]+ s`),
      );

      // The last one that is proven is meant, and that there is a newer one is said.
      await elsewhere.empty();
      const { host, port, user, password } = elsewhere.login();
      writeFileSync(join(folder, ".pgpass"), `*:*:*:${user}:${password}\n`, { mode: 0o600 });
      const to = `postgresql://${user}@/night?host=${encodeURIComponent(host)}&port=${port}&sslmode=disable`;
      const notes: string[] = [];
      const look = (line: string): void => {
        if (line.startsWith("restoring the content"))
          notes.push(...readdirSync(backups).filter((name) => name.startsWith(".partial-reading-")));
      };
      const restored = await run(["restore", "latest", "--directory", backups, "--to", to, "--json"], undefined, look);
      expect(restored.code, restored.said).to.equal(0);
      expect(notes, "it is said beside the backup that it is being read").to.have.length(1);
      expect(restored.said)
        .to.contain(`the backup is ${older}, taken at `)
        .and.contain(`a newer one is there, which nobody has proven: ${newer}`)
        .and.match(/roles that were made: .*guardian_migrator/)
        .and.match(/these log in and need one \(ALTER ROLE … PASSWORD\): .*guardian_migrator/)
        .and.contain("rows, definitions, roles and settings are as they were");
      expect(JSON.parse(restored.printed))
        .to.include({ id: older, database: "night" })
        .and.have.property("restoreSeconds");
      const again = await run(["restore", newer, "--directory", backups, "--to", to]);
      expect(again.said).to.match(/night is not empty; nothing was written \[restore-refused\]/);
      expect(again).to.deep.include({ code: 1 });

      const other = to.replace("/night?", "/dawn?");
      const stopped = await run(
        ["restore", newer, "--directory", backups, "--to", other],
        undefined,
        "restoring the content",
      );
      expect(stopped.code, stopped.said).to.equal(130);
      expect(stopped.said).to.match(/the restore was stopped; what is in database dawn_restoring_\w{8} is not whole/);

      // A service names it as well.
      writeFileSync(
        join(folder, ".pg_service.conf"),
        `[night]\nhost=${host}\nport=${port}\nuser=${user}\ndbname=night\n`,
      );
      const one = await run([
        "restore",
        newer,
        "--directory",
        backups,
        "--to",
        "service=night",
        "--table",
        "public.documents",
      ]);
      expect(one.code, one.said).to.equal(0);
      expect(one.said).to.match(/restored public\.documents as "guardian_restored_\w+"\."documents" in /);

      // The older one is the last that is proven; then the newer one is. Both are as old as a backup can be.
      configure({ keep: { count: 1, age: "1s" } });
      for (const name of names) {
        const manifest = join(backups, name, "manifest.json");
        const text = readFileSync(manifest, "utf8");
        writeFileSync(manifest, text.replace(/"startedAt": "2\d{3}/, '"startedAt": "2020'));
      }
      const dead = join(backups, ".partial-dead");
      mkdirSync(dead);
      writeFileSync(join(dead, "owner.json"), JSON.stringify({ ...ownMark(), started: "1" }));
      mkdirSync(join(backups, "notes"));
      const unasked = await run(["prune", ...dev]);
      expect(unasked).to.deep.include({ code: 2 });
      expect(unasked.said)
        .to.match(/\n {2}remove +\.partial-dead .*half-written by a run that was killed\n/)
        .and.match(new RegExp(`\n {2}remove +${older} `))
        .and.match(new RegExp(`\n {2}keep +${newer} .*relied on by \\d changes`))
        .and.contain("There is no terminal to ask on; nothing was removed");
      const no = await run(["prune", ...dev], "yes");
      expect(no.said)
        .to.contain("Type remove to remove 2 of 4 folders")
        .and.match(/not confirmed; nothing was removed \[not-confirmed\]$/);
      expect(readdirSync(backups)).to.have.length(4);
      // Somebody restores from the one that would go.
      const reading = await openBackup(join(backups, older));
      const meanwhile = await run(["prune", ...dev]);
      expect(meanwhile.said).to.match(new RegExp(`\\n {2}keep +${older} +[\\d.]+ +it is being read\n`));
      expect(meanwhile.said).to.match(/\n {2}remove +\.partial-dead /);
      await reading.close();
      const cut = await run(["prune", ...dev, "--yes"], undefined, "removed");
      expect(cut.code, cut.said).to.equal(130);
      expect(readdirSync(backups).sort(), cut.said).to.deep.equal([older, newer, "notes"].sort());
      const yes = await run(["prune", ...dev, "--json"], "remove");
      expect(yes.code, yes.said).to.equal(0);
      expect((JSON.parse(yes.printed) as { removed: string[] }).removed.sort()).to.deep.equal([older]);
      expect(readdirSync(backups).sort()).to.deep.equal([newer, "notes"].sort());
      expect((await run(["prune", ...dev, "--yes"])).said).to.match(/nothing is to be removed$/);
      expect(await db.connect()).to.be.an("object");
    }));
});
