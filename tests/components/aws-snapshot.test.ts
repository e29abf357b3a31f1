import type * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { snapshotIdentifier } from "../../components/aws-policies";
import { consent, raw } from "../support/config";
import { declaredIn, type DeclaredResource } from "../support/declared";

const covers = "0123456789ab-20260102030405";

/** What the stack's own program declares with this configuration. */
async function program(stack: string, config: Record<string, unknown>) {
  const outputs = ({ type }: { type: string }): Record<string, unknown> =>
    type.endsWith(":Backup") ? { covers, path: "p", proof: "proven" } : { ledgerId: "l", sessionId: "s" };
  const call = (): Record<string, unknown> => ({ server: "PostgreSQL", items: [], told: [] });
  const own = raw({ legacyConsent: consent, ...config });
  return declaredIn(".", { project: "guardian", stack, config: own }, { outputs, call });
}

const isAws = ({ type }: DeclaredResource): boolean => type.startsWith("aws:") || type.startsWith("guardian:aws:");
const chained = ({ type }: DeclaredResource): boolean =>
  type.startsWith("guardian-migration:") || type.startsWith("aws:");

describe("components: a snapshot of RDS beside the backup", function () {
  this.timeout(120_000);

  for (const stack of ["staging", "prod"]) {
    it(`18-6 ${stack}: all that is declared of AWS, whole, for an instance and for a cluster`, async () => {
      const component = {
        type: "guardian:aws:Snapshot",
        name: "snapshot",
        inputs: {},
        options: { parent: "guardian:stage:Infrastructure infrastructure" },
      };
      const tags = { "guardian:stack": stack, "guardian:covers": covers };
      const options = {
        parent: "guardian:aws:Snapshot snapshot",
        protect: false,
        retainOnDelete: true,
        dependsOn: ["guardian-migration:index:Backup backup"],
        create: "6h",
      };
      const ofInstance = await program(stack, { aws: { instance: "guardian-db" } });
      const instanceName = `guardian-${stack}-${covers}-b8c3`;
      expect(ofInstance.resources.filter(isAws)).to.deep.equal([
        component,
        {
          type: "aws:rds/snapshot:Snapshot",
          name: "snapshot",
          inputs: { dbInstanceIdentifier: "guardian-db", dbSnapshotIdentifier: instanceName, tags },
          options,
        },
      ]);
      const ofCluster = await program(stack, { aws: { cluster: "guardian-aurora" } });
      const clusterName = `guardian-${stack}-${covers}-f51b`;
      expect(ofCluster.resources.filter(isAws)).to.deep.equal([
        component,
        {
          type: "aws:rds/clusterSnapshot:ClusterSnapshot",
          name: "snapshot",
          inputs: { dbClusterIdentifier: "guardian-aurora", dbClusterSnapshotIdentifier: clusterName, tags },
          options,
        },
      ]);
    });
  }

  it("18-6 comes right after the backup, and all that changes the database comes after it, in all four stages", async () => {
    const { resources } = await program("prod", { aws: { instance: "guardian-db" } });
    const chain = resources.filter(chained);
    const types = chain.map(({ type }) => type.split(":").at(-1));
    expect(types.slice(0, 5)).to.deep.equal(["Ledger", "Backup", "Snapshot", "Gate", "SqlModule"]);
    expect(new Set(types)).to.include("DataMigration").and.include("FeatureFlag").and.include("SessionCompletion");

    const named = ({ type, name }: DeclaredResource): string => `${type} ${name}`;
    const needs = new Map(chain.map((one) => [named(one), one.options.dependsOn ?? []]));
    const reaches = (from: string, seen = new Set<string>()): Set<string> => {
      for (const to of needs.get(from) ?? []) if (!seen.has(to)) reaches(to, seen.add(to));
      return seen;
    };
    for (const one of chain.slice(3))
      expect(reaches(named(one)), named(one)).to.include("aws:rds/snapshot:Snapshot snapshot");
  });

  it("18-6 is there with every `through`, and is an output of the stack", async () => {
    for (const through of ["infrastructure", "schema", "data", "deployment"]) {
      const { resources, result } = await program("prod", { aws: { instance: "guardian-db" }, through });
      expect(resources.filter(isAws), through).to.have.length(2);
      const output = result["snapshot"] as pulumi.Output<string>;
      const value = await new Promise((resolve) => output.apply(resolve));
      expect(value).to.match(/^guardian-prod-0123456789ab-20260102030405-/);
    }
  });

  it("18-8 a stack without guardian:aws declares nothing of AWS and says nothing of it", async () => {
    const { resources, result } = await program("dev", {});
    expect(resources.filter(isAws)).to.deep.equal([]);
    expect(result).not.to.have.property("snapshot");
  });

  it("18-6 has a name that RDS takes, for a cluster too, whatever the stack is called", () => {
    for (const stack of ["prod", "Prod_EU.west-1", "acme-".repeat(12), "---", "ü"]) {
      const name = snapshotIdentifier(stack, covers, "guardian-db");
      expect(name, stack).to.match(/^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,62}$/);
      expect(name, stack).to.contain(covers);
    }
    expect(snapshotIdentifier("prod", covers, "one")).not.to.equal(snapshotIdentifier("prod", covers, "two"));
  });
});
