import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeBackup } from "../../engine/store";
import { main } from "../../scripts/backups";
import { fetched } from "../../scripts/backups/store";
import { readKeys } from "../../scripts/purge/stack";
import { logIn, makeBackup, pictureOf, wantedOf } from "../engine/store/harness";
import { S3Double } from "../support/s3";

describe("npm run backups: what is off the machine", function () {
  this.timeout(60_000);
  const double = new S3Double();
  let folder = "";
  let logOut = (): void => undefined;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "guardian-fetched-"));
    await double.start();
    logOut = logIn(double.credentials);
  });
  after(async () => {
    logOut();
    await double.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("18-4 is listed and brought back, with a folder and an identity and no stack", async () => {
    const age = await import("age-encryption");
    const secret = await age.generateX25519Identity();
    const wanted = wantedOf(double, { recipients: [await age.identityToRecipient(secret)] });
    const it = makeBackup(folder, "guardian-20261130T100000Z-0000000a", 1000);
    const quiet = (): void => undefined;
    const note = (): Promise<void> => Promise.resolve();
    const owner = { ledgerId: it.manifest.ledgerId, systemIdentifier: "7", database: "guardian" };
    const options = { owner, known: [], note, onProgress: quiet, onWarning: quiet };
    const { indexSha256 } = await storeBackup(it, wanted, options);
    double.objects.set("guardian/prod/half/owner.json", Buffer.from(JSON.stringify(owner)));

    const back = join(folder, "back");
    const run = async (...args: string[]) => {
      const [said, printed]: [string[], string[]] = [[], []];
      const all = [...args, "--directory", back, "--from", wanted.to, "--endpoint", double.endpoint];
      const code = await main(all, {
        print: (line) => void printed.push(line),
        say: (line) => void said.push(line),
        clone: folder,
        env: { ...process.env, KEY: secret },
        signal: new AbortController().signal,
      });
      return { code, said: said.join("\n"), printed: printed.join("\n") };
    };
    const list = await run("stored");
    expect([list.code, list.said]).to.deep.equal([0, ""]);
    expect(list.printed).to.match(/guardian-20261130T100000Z-0000000a +2026-11-30 10:00 +guardian +6f1b5f0e .* for 1/);
    expect(list.printed).to.match(/half .*half an upload/);
    // One that somebody damaged keeps nobody from the others.
    double.objects.set("guardian/prod/torn/index.json", Buffer.from("{}"));
    const beside = await run("stored", "--json");
    expect(beside.code).to.equal(3);
    expect(beside.said).to.match(/\ntorn in the store is left out: the index of a stored backup /);
    const { backups } = JSON.parse(beside.printed) as { backups: { id: string; state: string; why?: string }[] };
    expect(backups.map(({ id, state }) => `${id} ${state}`)).to.have.members([
      `${it.name} whole`,
      "half half an upload",
      "torn unreadable",
    ]);
    const without = await run("fetch", "latest");
    expect([without.code, without.said]).to.satisfy(
      ([code, text]: [number, string]) => code === 1 && text.includes("[age-no-identity]"),
    );
    const unknown = await run("fetch", "of-nobody");
    expect([unknown.code, unknown.said.includes("[backup-unknown]")]).to.deep.equal([1, true]);
    const around = { env: { KEY: secret }, signal: new AbortController().signal, say: quiet };
    const mine = { ...wanted, identityFrom: "env:KEY" };
    const at = `${wanted.to}/${it.name}`;
    for (const [noted, code] of [
      [{ indexSha256: "of-another" }, "store-damaged"],
      [{ indexSha256, manifestSha256: "of-another" }, "backup-broken"],
    ] as const) {
      const refused = await fetched(mine, it.name, back, around, [{ at, ...noted }]).catch((err: unknown) => err);
      expect(refused).to.include({ code });
    }
    const { code, printed, said } = await run("fetch", "0000000a", "--identity-from", "env:KEY", "--json");
    expect(said).to.include("not compared with a ledger").and.include("torn in the store is left out");
    expect([code, JSON.parse(printed)]).to.deep.equal([0, { id: it.name, path: join(back, it.name) }]);
    expect(pictureOf(join(back, it.name))).to.deep.equal(pictureOf(it.path));
  });

  it("18-4 an identity's file is named from the project's folder, wherever the command is run", async () => {
    const age = await import("age-encryption");
    const recipient = await age.identityToRecipient(await age.generateX25519Identity());
    const backup = { to: "s3://backups/x", recipients: [recipient], identityFrom: "file:keys/age" };
    writeFileSync(join(folder, "Pulumi.off.yaml"), `config:\n  guardian:backup: ${JSON.stringify(backup)}\n`);
    expect(readKeys(folder, "off", ["backup"]).backup.identityFrom).to.equal(`file:${join(folder, "keys", "age")}`);
  });
});
