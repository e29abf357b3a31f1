import { expect } from "chai";
import { packageSchema } from "../../provider/schema";
import { plugin } from "../../resources/registry";

interface Type {
  type?: string;
  $ref?: string;
  secret?: boolean;
  description?: string;
  items?: Type;
  additionalProperties?: Type;
}

interface Shaped {
  properties: Record<string, Type>;
  required: string[];
}

interface Schema {
  name: string;
  version: string;
  provider: { inputProperties: Record<string, Type> };
  resources: Record<string, Shaped & { inputProperties: Record<string, Type>; requiredInputs: string[] }>;
  functions: Record<string, { inputs: Shaped; outputs: Shaped }>;
  types: Record<string, Shaped>;
}

const schema = packageSchema(plugin) as unknown as Schema;

describe("provider/schema: the package's schema", () => {
  it("has every resource and function of the registry", () => {
    expect(Object.keys(schema.resources)).to.deep.equal(
      [
        ...["Ledger", "Backup", "Gate", "SqlModule", "MigrationSession"],
        ...["DataMigration", "FeatureFlag", "SessionCompletion"],
      ].map((kind) => `guardian-migration:index:${kind}`),
    );
    expect(Object.keys(schema.functions)).to.deep.equal(["guardian-migration:index:assess"]);
    expect([schema.name, schema.version]).to.deep.equal([plugin.name, plugin.version]);
  });

  it("says what goes in, what comes out and what may be left out, from the same specs as the checks", () => {
    for (const { spec } of plugin.resources) {
      const said = schema.resources[spec.token]!;
      expect(Object.keys(said.inputProperties)).to.deep.equal(Object.keys(spec.inputs));
      expect(Object.keys(said.properties)).to.deep.equal(
        Object.keys({ ...spec.inputs, ...spec.computed, ...spec.outputs }),
      );
      expect(said.requiredInputs).to.deep.equal(
        Object.entries(spec.inputs).flatMap(([key, property]) => (property.optional ? [] : [key])),
      );
    }
    expect(schema.resources["guardian-migration:index:Ledger"]!.required).to.deep.equal([
      "purge",
      "ledgerId",
      "format",
      "database",
    ]);
  });

  it("marks secrets, in and out", () => {
    const flag = schema.resources["guardian-migration:index:FeatureFlag"]!;
    const users = { type: "array", items: { type: "string" }, secret: true };
    expect(flag.inputProperties["enabledForUsers"]).to.deep.include(users);
    expect(flag.properties["enabledForUsers"]).to.deep.include(users);
    expect(flag.properties["enabled"]).not.to.have.property("secret");
  });

  it("refers to no type that it does not define, and describes everything", () => {
    const undescribed: string[] = [];
    const visit = (type: Type, path: string, named: boolean): void => {
      if (named && !type.description) undescribed.push(path);
      const own = "#/types/";
      if (type.$ref?.startsWith(own)) expect(schema.types, path).to.have.property(type.$ref.slice(own.length));
      if (type.items) visit(type.items, `${path}[]`, false);
      if (type.additionalProperties) visit(type.additionalProperties, `${path}{}`, false);
    };
    const visitAll = (shape: Record<string, Type>, path: string): void =>
      Object.entries(shape).forEach(([key, type]) => visit(type, `${path}.${key}`, true));
    for (const [token, said] of Object.entries(schema.resources)) {
      visitAll(said.inputProperties, token);
      visitAll(said.properties, token);
    }
    for (const [token, said] of Object.entries(schema.types)) visitAll(said.properties, token);
    visitAll(schema.provider.inputProperties, "provider");
    expect(undescribed).to.deep.equal([]);
    expect(Object.keys(schema.types)).to.include("guardian-migration:index:ProviderDatabase");
  });
});
