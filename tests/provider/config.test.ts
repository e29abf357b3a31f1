import * as grpc from "@grpc/grpc-js";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { ConstructRequest, GetMappingRequest, GetSchemaRequest } from "@pulumi/pulumi/proto/provider_pb";
import { expect } from "chai";
import { changesOf, check, checkConfig, configure, create, diffConfig, failuresOf, urnOf } from "../support/calls";
import { handshakeOf, serveHere, toyPlugin, withServed } from "../support/plugin";
import { toy } from "../support/toy/plugin";
import { plain, secretly, unknownMark } from "../support/wire";
import { plugin as product } from "../../resources/registry";

const provider = urnOf("pulumi:providers:toy", "p");
const thing = urnOf("toy:index:Thing", "t");

describe("provider: from start to configuration", () => {
  let plugin: Awaited<ReturnType<typeof serveHere>>;
  before(async () => {
    plugin = await serveHere(toy);
  });
  after(() => plugin.close());

  it("shakes hands: secrets are accepted, and preview is supported by doing so", async () => {
    const response = await plugin.call(plugin.client.handshake, handshakeOf(toyPlugin, plugin.engine));
    expect(response.toObject()).to.deep.include({
      acceptSecrets: true,
      acceptResources: false,
      acceptOutputs: false,
      supportsAutonamingConfiguration: false,
    });
  });

  it("says its version and its schema", async () => {
    const info = await plugin.call(plugin.client.getPluginInfo, new Empty());
    expect(info.getVersion()).to.equal("1.2.3");
    const schema = await plugin.call(plugin.client.getSchema, new GetSchemaRequest());
    expect(JSON.parse(schema.getSchema())).to.deep.include({ name: "toy", version: "1.2.3" });
  });

  it("refuses work before it is configured", async () => {
    const { message } = await plugin.fail(plugin.client.check, check(thing, { does: "well" }));
    expect(message).to.equal("the provider was not configured");
  });

  it("checks the configuration: an object travels as JSON, the engine's own keys are let through", async () => {
    const news = { database: '{"host":"h"}', token: "t", version: "1.2.3", __internal: {} };
    const response = await plugin.call(plugin.client.checkConfig, checkConfig(provider, news));
    expect(failuresOf(response)).to.deep.equal([]);
    expect(plain(response.getInputs())).to.deep.equal(news);
  });

  it("names what is wrong with the configuration, and quotes no value", async () => {
    const news = { database: '{"hots":"hunter2"}', token: 5, colour: "hunter2" };
    const response = await plugin.call(plugin.client.checkConfig, checkConfig(provider, news));
    expect(failuresOf(response)).to.deep.equal([
      "database.hots: is not a property here; known are host",
      "token: must be of type string",
      "colour: is not a property here; known are database, token",
    ]);
    const broken = checkConfig(provider, { database: "{hunter2" });
    const other = await plugin.call(plugin.client.checkConfig, broken);
    expect(failuresOf(other)).to.deep.equal(["database: must be of type object"]);
  });

  it("lets an unknown configuration pass the check", async () => {
    const response = await plugin.call(plugin.client.checkConfig, checkConfig(provider, { database: unknownMark }));
    expect(failuresOf(response)).to.deep.equal([]);
    expect(plain(response.getInputs())).to.deep.equal({ database: unknownMark });
  });

  it("never asks for the provider's replacement, which would roll everything back", async () => {
    const request = diffConfig(provider, { database: '{"host":"a"}' }, { database: '{"host":"b"}', token: "t" });
    const response = await plugin.call(plugin.client.diffConfig, request);
    expect(changesOf(response)).to.deep.equal({ changes: "some", paths: { database: "update", token: "add" } });
    expect(response.getReplacesList()).to.deep.equal([]);
    expect(response.getDeletebeforereplace()).to.equal(false);
    const same = await plugin.call(plugin.client.diffConfig, diffConfig(provider, { a: "1" }, { a: "1" }));
    expect(changesOf(same)).to.deep.equal({ changes: "none", paths: {} });
  });

  it("says why it cannot be configured", async () => {
    const failure = await plugin.fail(plugin.client.configure, configure({ token: secretly("wrong") }));
    expect(failure.message).to.equal("a wrong token");
  });

  it("is configured with secrets wrapped, and hands them over bare", async () => {
    const args = { database: secretly('{"host":"h"}'), token: secretly("t"), version: "1.2.3" };
    const response = await plugin.call(plugin.client.configure, configure(args));
    expect([response.getAcceptsecrets(), response.getSupportspreview()]).to.deep.equal([true, true]);
    const made = await plugin.call(plugin.client.create, create(thing, { does: "well" }));
    const told = JSON.parse(plain(made.getProperties())?.["made"] as string) as { config: unknown };
    expect(told.config).to.deep.equal({ database: { host: "h" }, token: "t" });
  });

  it("answers unimplemented to what it has no use for", async () => {
    const { client } = plugin;
    expect((await plugin.fail(client.getMapping, new GetMappingRequest())).code).to.equal(grpc.status.UNIMPLEMENTED);
    expect((await plugin.fail(client.construct, new ConstructRequest())).code).to.equal(grpc.status.UNIMPLEMENTED);
  });
});

describe("provider: the product's configuration", () => {
  const urn = urnOf("pulumi:providers:guardian-migration", "database");

  it("takes only database and the times of the locks, and opens no connection for it", async () => {
    await withServed(async (plugin) => {
      const news = { database: '{"host":"a://b","port":"5432"}', password: "hunter2" };
      const checked = await plugin.call(plugin.client.checkConfig, checkConfig(urn, news));
      expect(failuresOf(checked)).to.deep.equal([
        "database.host: must be a host name, an address or a socket directory, and no URL",
        "database.port: must be of type integer",
        "password: is not a property here; known are database, locks",
      ]);
      const times = await plugin.call(
        plugin.client.checkConfig,
        checkConfig(urn, { locks: '{"timeout":201,"pause":7000,"hold":1}' }),
      );
      expect(failuresOf(times), "16-5").to.deep.equal([
        "locks.timeout: must be a whole number from 1 to 200",
        "locks.hold: is not a property here; known are timeout, pause, patience",
      ]);
      const args = { database: '{"host":"nobody.invalid","port":5432}', locks: '{"timeout":100}' };
      await plugin.call(plugin.client.configure, configure(args));
      const wrong = configure({ database: '{"passwordFrom":"hunter2"}' });
      const failure = await plugin.fail(plugin.client.configure, wrong);
      expect(failure.message).to.equal(
        "guardian:database.passwordFrom is neither env:NAME nor file:PATH; if it is the password itself, change it: a history has it" +
          " [setting-invalid]\n  where: guardian:database.passwordFrom\n" +
          "  to do: env:NAME, such as env:PGPASSWORD\n     or: file:PATH, such as file:/run/secrets/guardian-password",
      );
    });
  });

  it("16-5 hands the times of the locks to the engine; the hold is not among them", async () => {
    const host = await product.configure({ locks: { timeout: 120, patience: 30_000 } });
    expect(host.parameters).to.include({ lockTimeout: 120, patience: 30_000 });
    await host.close();
  });
});
