import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { withoutPlugins } from "../../scripts/pulumi/packages";
import { root } from "../support/plugin";

const name = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";

describe("npm run pulumi, plugins of packages in node_modules", () => {
  const folder = mkdtempSync(join(tmpdir(), "guardian-packages-"));
  after(() => rmSync(folder, { recursive: true }));
  const here = { PULUMI_BACKEND_URL: pathToFileURL(folder).href };
  const said = (
    config: string,
    project = "guardian",
    env: NodeJS.ProcessEnv = here,
    args: string[] = [],
  ): Record<string, string> => {
    writeFileSync(join(folder, "Pulumi.yaml"), `name: ${project}\n`);
    writeFileSync(join(folder, "Pulumi.prod.yaml"), config);
    return withoutPlugins(folder, "prod", env, args);
  };

  it("18-8 are not asked for where the stack declares nothing of them", () => {
    expect(said("config:\n  guardian:through: data\n")).to.deep.equal({ [name]: "true" });
    expect(said("config:\n  guardian:aws: {}\n  guardian-foundation:access: ''\n")).to.deep.equal({ [name]: "true" });
    expect(said("", "guardian-foundation")).to.deep.equal({ [name]: "true" });
    expect(withoutPlugins(folder, "of-no-file", here)).to.deep.equal({ [name]: "true" });
    expect(withoutPlugins(root, "dev", here)).to.deep.equal({ [name]: "true" });
  });

  it("18-8 are asked for where it does, where the user says so, and in another project", () => {
    expect(said("config:\n  guardian:aws:\n    instance: db\n")).to.deep.equal({});
    expect(said("config:\n  guardian-foundation:access:\n    operators: []\n", "guardian-foundation")).to.deep.equal(
      {},
    );
    expect(withoutPlugins(join(root, "foundation"), "prod", here)).to.deep.equal({});
    expect(said("", "guardian", { ...here, [name]: "false" })).to.deep.equal({});
    expect(said("", "another")).to.deep.equal({});
    expect(said("config: [")).to.deep.equal({});
    expect(withoutPlugins(folder, undefined, here)).to.deep.equal({});
  });

  it("18-8 are asked for where the state has resources of them, cannot be read, or the command line may declare them", () => {
    const states = join(folder, ".pulumi", "stacks", "guardian");
    mkdirSync(states, { recursive: true });
    const state = (type: string): string => JSON.stringify({ checkpoint: { latest: { resources: [{ type }] } } });
    writeFileSync(join(states, "prod.json"), state("pulumi:providers:guardian"));
    expect(said("")).to.deep.equal({ [name]: "true" });
    expect(said("", "guardian", here, ["up", "--yes", "--stack", "prod"])).to.deep.equal({ [name]: "true" });
    for (const args of [["-c", "a=b"], ["-cguardian:aws=x"], ["-yc", "a=b"], ["--config=a=b"], ["--config-file", "x"]])
      expect(said("", "guardian", here, ["up", ...args]), args.join(" ")).to.deep.equal({});
    for (const backend of [{}, { PULUMI_BACKEND_URL: "s3://bucket" }, { PULUMI_BACKEND_URL: "file://~" }])
      expect(said("", "guardian", backend)).to.deep.equal({});
    writeFileSync(join(states, "prod.json"), state("pulumi:providers:aws"));
    expect(said("")).to.deep.equal({});
    rmSync(join(states, "prod.json"));
    writeFileSync(join(states, "prod.json.gz"), gzipSync(state("pulumi:providers:postgresql")));
    expect(said("")).to.deep.equal({});
  });
});
