import { expect } from "chai";
import { startAwsStandIn, type AwsStandIn } from "../support/aws-stand-in";
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
});
