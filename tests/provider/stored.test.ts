import { expect } from "chai";
import { withV6 } from "../support/postgres";
import { S3Double } from "../support/s3";
import { withWalkingProcess } from "../support/walk";
import { type Wire } from "../support/wire";

describe("provider: a backup that is stored off the machine", function () {
  this.timeout(120_000);
  const double = new S3Double();
  before(() => double.start());
  after(() => double.stop());

  it("18-4 is planned with its place, says where it is, and is drift while it is not there", () =>
    withV6(async (db) => {
      const age = await import("age-encryption");
      const recipient = await age.identityToRecipient(await age.generateX25519Identity());
      const env = { ...double.credentials, AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" };
      await withWalkingProcess({ database: db.migrator, env }, async (walk) => {
        const store = { to: `s3://${double.bucket}/x`, recipients: [recipient], endpoint: double.endpoint };
        const ledger = await walk.create("Ledger", "ledger", { purge: false });
        const args = { ...walk.backupArgs(ledger.state["ledgerId"]!, ["000_audit_log"]), migrations: [] };
        const said = (): string => walk.said().join("\n");

        // Who previews need not have the store's rights.
        double.instead = () => ({ status: 403, code: "AccessDenied" });
        await walk.create("Backup", "backup", { ...args, store }, { preview: true });
        expect(said()).to.match(/backups could not be stored in s3:\/\/backups\/x now: the credentials lack a right/);
        double.instead = () => undefined;
        await walk.create("Backup", "backup", { ...args, store }, { preview: true });
        expect(said()).to.include("then it is stored in s3://backups/x, encrypted for 1, and read back");
        expect([...double.objects.keys()], "preview writes nothing").to.deep.equal([]);

        const without = await walk.create("Backup", "backup", args);
        expect(without.state).to.not.have.property("storedIn");
        expect(await walk.diff(without)).to.deep.equal({ changes: "none", paths: {} });
        const inputs: Record<string, Wire> = { ...without.inputs, store };
        expect((await walk.diff({ ...without, inputs })).paths).to.deep.equal({ storedIn: "update, output" });

        const stored = await walk.create("Backup", "backup", { ...args, store });
        const name = (stored.state["path"] as string).split("/").at(-1) ?? "";
        expect(stored.state).to.include({ storedIn: `s3://backups/x/${name}`, path: without.state["path"] });
        expect(said()).to.include(`; stored in s3://backups/x/${name}, and read back`);
        expect(double.objects.has(`x/${name}/index.json`)).to.equal(true);
        expect(await walk.diff(stored)).to.deep.equal({ changes: "none", paths: {} });
      });
    }));
});
