import { Snapshot } from "@pulumi/aws/rds/snapshot";
import { expect } from "chai";
import { startAwsStandIn, withAwsStack, type AwsStandIn } from "../support/aws-stand-in";
import { story } from "../support/story";

describe("a snapshot of RDS beside the backup, on the real engine and with a stand-in for the AWS provider", function () {
  this.timeout(300_000);
  let aws: AwsStandIn;
  before(async () => {
    aws = await startAwsStandIn();
  });
  after(() => aws.stop());

  it("18-6 is taken anew for what is added or changed and never for the way back, and none is ever deleted", () =>
    story(
      async ({ stack }) => {
        const taken = (): string[] => aws.calls.splice(0);
        const name = /^create guardian-dev-[0-9a-f]{12}-\d{14}-[0-9a-f]{4}$/;

        const planned = await stack.preview();
        expect(planned.output).to.match(/aws:rds:Snapshot +snapshot +create/);
        expect(taken()).to.deep.equal([]);
        await stack.up();
        const [first = "", ...others] = taken();
        expect(first).to.match(name);
        expect(others).to.deep.equal([]);

        const again = await stack.up();
        expect(Object.keys(again.changes)).to.deep.equal(["same"]);
        expect(taken()).to.deep.equal([]);

        stack.set({ through: "schema" });
        const raised = await stack.up();
        const [second = "", ...more] = taken();
        expect(second).to.match(name).and.not.equal(first);
        expect(more).to.deep.equal([]);
        expect(raised.output).to.match(
          /aws:rds:Snapshot +snapshot +(replaced|created replacement|deleted original\[retain\])/,
        );

        stack.set({ through: "infrastructure" });
        const back = await stack.preview();
        expect(back.output).not.to.match(/aws:rds:Snapshot +snapshot +\w/);
        await stack.up();
        expect(taken(), "the way back waits for no snapshot").to.deep.equal([]);

        // What is declared is what was declared for the second one, whose name is still taken.
        stack.set({ through: "schema" });
        await stack.up();
        const [third = "", ...none] = taken();
        expect(third).to.match(name).and.not.equal(second);
        expect(third.slice(0, "create guardian-dev-".length + 12)).to.equal(
          second.slice(0, "create guardian-dev-".length + 12),
        );
        expect(none).to.deep.equal([]);

        // No credentials, or no network: AWS is taken out of the configuration, and the way back goes on.
        aws.down = true;
        stack.set({ through: "infrastructure" });
        const refused = await stack.up({ expectFailure: true });
        expect(refused.output).to.contain("no valid credential sources");
        stack.set({ aws: "" });
        await stack.up();
        aws.down = false;
        expect(taken()).to.deep.equal([]);

        stack.set({ aws: JSON.stringify({ instance: "guardian-db" }), through: "schema" });
        await stack.up();
        expect(taken()).to.have.length(1);
        const destroyed = await stack.destroy();
        expect(destroyed.output).to.match(/aws:rds:Snapshot +snapshot +deleted.*\[retain\]/);
        expect(taken()).to.deep.equal([]);
        expect(aws.snapshots.size).to.equal(4);
      },
      {
        stack: {
          env: aws.env,
          config: { through: "infrastructure", aws: JSON.stringify({ instance: "guardian-db" }) },
        },
      },
    ));

  it("18-6 protected as well it could neither be replaced nor let a destroy end: hence it is retained alone", () =>
    withAwsStack(aws, { project: "protected", name: "dev" }, async (own) => {
      const run = async (verb: string, name: string, protect: boolean) => {
        const program = (): Promise<Record<string, unknown>> => {
          const args = { dbInstanceIdentifier: "db", dbSnapshotIdentifier: name };
          new Snapshot("snapshot", args, { protect, retainOnDelete: true });
          return Promise.resolve({});
        };
        const { code, stdout, stderr } = await own.run([verb, "--yes", "--skip-preview", "--stack", "dev"], {
          program,
        });
        return { code, output: stdout + stderr, calls: aws.calls.splice(0) };
      };
      expect((await run("up", "first", true)).calls).to.deep.equal(["create first"]);

      const replaced = await run("up", "second", true);
      expect(replaced.code).not.to.equal(0);
      expect(replaced.output).to.match(/unable to replace resource [\s\S]+protect/);
      const destroyed = await run("destroy", "first", true);
      expect(destroyed.code).not.to.equal(0);
      expect(destroyed.output).to.contain("cannot be deleted").and.contain("because it is protected");
      expect([...replaced.calls, ...destroyed.calls]).to.deep.equal([]);

      // As the component has it.
      expect(await run("up", "second", false)).to.deep.include({ code: 0, calls: ["create second"] });
      expect(await run("destroy", "second", false)).to.deep.include({ code: 0, calls: [] });
      expect([...aws.snapshots]).to.include.members(["first", "second"]);
    }));
});
