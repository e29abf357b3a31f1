import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { BackupFolder } from "../../engine/backup/keep/read";
import { main } from "../../scripts/backups";
import { aboutV7 } from "../../scripts/backups/v7";
import { marker } from "../engine/dumps";
import { withFolder } from "../support/folder";

describe("npm run backups, without a server", () => {
  it("17-6 says of a v7 that comes back without its ledger what it is good for, and which backup is from before it", () => {
    const of = (startedAt: string, tables: string[], ledgerId = "ours") => ({
      ...{ startedAt, ledgerId, server: { version: "17.1", systemIdentifier: "7", database: "guardian" } },
      tables: tables.map((table) => ({ schema: "public", table, rows: 1 })),
    });
    const folder = (name: string, manifest: ReturnType<typeof of>, state = "whole") =>
      ({ name, path: "", bytes: 1, state, manifest }) as unknown as BackupFolder;
    const v7 = of("2026-01-05T00:00:00Z", ["documents", "patient_consents", "user_preferences"]);
    expect(aboutV7(of("2026-01-05T00:00:00Z", ["documents"]), [], "/b")).to.deep.equal([]);
    const folders = [
      folder("first", of("2026-01-01T00:00:00Z", ["documents"])),
      folder("before", of("2026-01-02T00:00:00Z", ["documents"])),
      folder("theirs", of("2026-01-03T00:00:00Z", ["documents"], "theirs")),
      folder("torn", of("2026-01-03T00:00:00Z", ["documents"]), "broken"),
      folder("part", of("2026-01-04T00:00:00Z", ["documents", "patient_consents"])),
      folder("later", of("2026-01-06T00:00:00Z", ["documents"])),
    ];
    const [what, way] = aboutV7(v7, folders, "/b");
    expect(what).to.match(
      /^v7 is in it \(public\.patient_consents and 1 more of its tables\), and its ledger is not, .*objects-exist/,
    );
    expect(way).to.contain("restore the last one from before v7 instead: before;");
    expect(aboutV7(v7, folders.slice(2), "/b")[1]).to.contain("none is in /b");
  });

  it("17-6 refuses a password in the command line without showing it, and other wrong use", async () => {
    return withFolder(async (folder) => {
      const run = async (args: string[]): Promise<{ code: number; said: string; printed: string }> => {
        const [said, printed]: [string[], string[]] = [[], []];
        const around = { clone: folder, env: { HOME: folder }, signal: new AbortController().signal };
        const print = (line: string): void => void printed.push(line);
        const code = await main(args, { ...around, print, say: (line) => void said.push(line) });
        return { code, said: said.join("\n"), printed: printed.join("\n") };
      };
      const here = ["--directory", folder];
      for (const to of [
        `postgres://u:${marker}@h/g`,
        `host=h password=${marker}`,
        `postgres://h/g?password=${marker}`,
      ]) {
        const { code, said } = await run(["restore", "latest", ...here, "--to", to]);
        expect((await run(["restore", "latest", `--to=${to}`, ...here, "--json"])).said).to.equal(said);
        expect(code, to).to.equal(2);
        expect(said)
          .to.match(/^--to holds a password, which every list of processes shows; nothing was done \[usage\]/)
          .and.contain("PGPASSWORD")
          .and.contain(".pgpass")
          .and.contain("--password-from env:NAME")
          .and.not.contain(marker);
      }
      // Wherever it was put instead.
      const [uri, pair, to] = [`postgres://u:${marker}@h/g`, `PGPASSWORD=${marker}`, "service=g"];
      for (const args of [
        ...[uri, pair, marker].flatMap((one) => [
          [one],
          [one, "restore", "latest", ...here, "--to", to],
          ["restore", "latest", one, ...here, "--to", to],
          ["restore", "latest", ...here, "--to", to, `--${one}`],
          ["restore", "latest", ...here, "--to", to, `--password=${one}`],
          ["restore", "latest", ...here, "--to", to, `-W${one}`],
          ["restore", "latest", ...here, "--to", to, `--json=${one}`],
          ["restore", "latest", ...here, "--to", to, "--password-from", one],
          ["fetch", "latest", ...here, "--from", "s3://b", "--identity-from", one],
        ]),
        ...[uri, pair].flatMap((one) => [
          ["restore", one, ...here, "--to", to],
          ["list", "--directory", one],
          ["restore", "latest", ...here, "--to", to, "--live", one],
        ]),
      ]) {
        const { code, said, printed } = await run(args);
        expect(said + printed, args.join(" ").replace(marker, "…")).not.to.contain(marker);
        expect(code, said).to.be.oneOf([1, 2]);
      }
      const wrong: [string[], number, RegExp][] = [
        [["list"], 1, /^No stack is selected[^]*--directory FOLDER/],
        [["verify"], 2, /^Say which: verify ID/],
        [["restore", "a", ...here], 2, /^Say where to: --to CONNECTION/],
        [
          ["restore", "latest", ...here, "--to", "service=g dbname=h", "--tabel", "t"],
          2,
          /the nearest option is --table/,
        ],
        ...["list", "verify latest", "restore latest --to service=g", "prune --yes"].map(
          (words): [string[], number, RegExp] => [
            [...words.split(" "), "--directory", join(folder, "not there")],
            1,
            /^There is no such folder[^]*\[folder-unusable\]\n {2}where: .*not there\n[^]*--directory FOLDER/,
          ],
        ),
        [["restor", "latest"], 2, /^There is no such thing to do; there are: list, [^]*the nearest is restore/],
        [["list", "a"], 2, /^An argument is too many/],
        [["verify", "a", "b"], 2, /^An argument is too many/],
        [["list", "--to", "x"], 2, /^list takes no --to/],
        [["verify", "latest", ...here], 1, /^there is no backup that is whole \[backup-unknown\]/],
        [["verify", "x", ...here], 1, /^there is no backup x \[backup-unknown\][^]*npm run backups -- list/],
        [["list", "--stack", "../x"], 2, /^--stack must be a stack's name/],
      ];
      for (const [args, code, said] of wrong) {
        const found = await run(args);
        expect(found.said, args.join(" ")).to.match(said);
        expect(found.code, args.join(" ")).to.equal(code);
      }
      mkdirSync(join(folder, "torn"));
      writeFileSync(join(folder, "torn", "manifest.json"), '{"formatVersion": 2, "ser');
      const list = await run(["list", ...here]);
      expect(list.code, list.said).to.equal(3);
      expect(list.printed).to.match(/torn .* broken: manifest\.json is not JSON/);
      expect(list.said).to.contain("broken, and of no use for a restore: torn;");
      for (const args of [
        ["verify", "torn"],
        ["restore", "torn", "--to", "host=127.0.0.1 port=1 dbname=g user=u"],
      ])
        expect((await run([...args, ...here])).said).to.match(/the backup is broken: manifest\.json is not JSON/);
      rmSync(join(folder, "torn"), { recursive: true });
      const help = await run(["--help"]);
      expect(help).to.deep.include({ code: 0, said: "" });
      expect(help.printed)
        .to.contain("restore ID")
        .and.contain("--into-nonempty NAME")
        .and.match(/the live one with\n +--live NAME: its rows/);
      expect((await run(["list", ...here])).printed).to.equal(`in ${folder}:\n  (none)`);
      expect(existsSync(folder)).to.equal(true);
    });
  });
});
