import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withoutPlugins } from "../../scripts/pulumi/packages";
import { root } from "../support/plugin";

const name = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";

describe("npm run pulumi, plugins of packages in node_modules", () => {
  const folder = mkdtempSync(join(tmpdir(), "guardian-packages-"));
  after(() => rmSync(folder, { recursive: true }));
  const said = (config: string, project = "guardian", env: NodeJS.ProcessEnv = {}): Record<string, string> => {
    writeFileSync(join(folder, "Pulumi.yaml"), `name: ${project}\n`);
    writeFileSync(join(folder, "Pulumi.prod.yaml"), config);
    return withoutPlugins(folder, "prod", env);
  };

  it("18-8 are not asked for where the stack declares nothing of them", () => {
    expect(said("config:\n  guardian:through: data\n")).to.deep.equal({ [name]: "true" });
    expect(said("config:\n  guardian:aws: {}\n  guardian-foundation:access: ''\n")).to.deep.equal({ [name]: "true" });
    expect(said("", "guardian-foundation")).to.deep.equal({ [name]: "true" });
    expect(withoutPlugins(folder, "of-no-file", {})).to.deep.equal({ [name]: "true" });
    expect(withoutPlugins(root, "dev", {})).to.deep.equal({ [name]: "true" });
  });

  it("18-8 are asked for where it does, where the user says so, and in another project", () => {
    expect(said("config:\n  guardian:aws:\n    instance: db\n")).to.deep.equal({});
    expect(said("config:\n  guardian-foundation:access:\n    operators: []\n", "guardian-foundation")).to.deep.equal(
      {},
    );
    expect(withoutPlugins(join(root, "foundation"), "prod", {})).to.deep.equal({});
    expect(said("", "guardian", { [name]: "false" })).to.deep.equal({});
    expect(said("", "another")).to.deep.equal({});
    expect(said("config: [")).to.deep.equal({});
    expect(withoutPlugins(folder, undefined, {})).to.deep.equal({});
  });
});
