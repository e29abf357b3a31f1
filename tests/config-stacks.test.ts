import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { validateConfig } from "../config";
import { configuration } from "../config/keys";
import { formatted } from "../scripts/docs";
import { configurationPages, migration, withKeys } from "../scripts/docs/configuration";
import { check, number, otherwise, record, within, type Shape } from "../spec";
import { consent, raw } from "./support/config";

const root = join(__dirname, "..");

function stackFile(stack: string): Record<string, unknown> {
  const file = parse(readFileSync(join(root, `Pulumi.${stack}.yaml`), "utf8")) as { config: Record<string, unknown> };
  const entries = Object.entries(file.config).map(([key, value]) => [key.replace(/^guardian:/, ""), value]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

describe("config", () => {
  describe("the stack files", () => {
    const declared = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as { config: Record<string, unknown> };
    const keys = Object.keys(declared.config).map((key) => key.replace(/^guardian:/, ""));

    it("Pulumi.yaml and docs/configuration.md are what `npm run docs` makes of config/", async () => {
      for (const [path, page] of await formatted(configurationPages())) {
        expect(readFileSync(join(root, "docs", path), "utf8"), "run `npm run docs`").to.equal(page);
      }
      const known = validateConfig(raw({ legacyConsent: consent })).config ?? {};
      expect(keys.toSorted()).to.deep.equal(Object.keys(known).toSorted());
    });

    it("Pulumi.yaml is mended by `npm run docs` where a key's type, description or default is wrong, gone or too many", () => {
      const text = readFileSync(join(root, "Pulumi.yaml"), "utf8");
      const spoilt = text
        .replace("The last stage", "The first stage")
        .replace("default: deployment", "default: data")
        .replace("type: boolean", "type: string")
        .replace("  guardian:gates:", "  guardian:bars:");
      expect(parse(spoilt)).not.to.deep.equal(parse(text));
      expect(parse(withKeys(spoilt, migration))).to.deep.equal(parse(text));
    });

    it("takes every default that config/ names", () => {
      const named = (fields: Shape, prefix: string): string[] =>
        Object.entries(fields).flatMap(([key, { default: value, ...property }]) => {
          const faults =
            value === undefined
              ? []
              : check(record({ [key]: property }, ""), { [key]: value }).faults.map((fault) => fault.text);
          return [...faults.map((text) => `${prefix}${text}`), ...named(property.fields ?? {}, `${prefix}${key}.`)];
        });
      expect(named(configuration.fields, "")).to.deep.equal([]);
      expect(named({ n: otherwise(3, within(0, 2, number("A number."))) }, "a.")).to.deep.equal([
        "a.n is 3: it must be a number from 0 to 2",
      ]);
    });

    it("dev is complete", () => {
      const { config, errors } = validateConfig(raw(stackFile("dev")));
      expect(errors).to.deep.equal([]);
      expect(config?.legacyConsent?.mode).to.equal("assumed");
      expect(config?.database).to.deep.equal({
        host: "127.0.0.1",
        port: 54329,
        database: "guardian",
        user: "guardian_migrator",
        sslmode: "disable",
        passwordFrom: "file:.guardian/db/password",
      });
    });

    for (const stack of ["staging", "prod"]) {
      it(`${stack} carries every key but legacyConsent`, () => {
        expect([...Object.keys(stackFile(stack)), "legacyConsent"].toSorted()).to.deep.equal(keys.toSorted());
      });

      it(`${stack} is refused with that one error when through reaches data, and accepted once it is set`, () => {
        const file = stackFile(stack);
        for (const through of ["data", "deployment"]) {
          expect(validateConfig(raw({ ...file, through })).errors).to.deep.equal([
            `guardian:legacyConsent is missing, and guardian:through ${through} reaches the data stage: say what becomes of` +
              " users who never were asked, {mode: assumed | pending, legalBasis, statement}",
          ]);
          const decided = { mode: "pending", legalBasis: "consent", statement: "they are to be asked" };
          expect(validateConfig(raw({ ...file, through, legacyConsent: decided })).errors).to.deep.equal([]);
        }
        expect(validateConfig(raw({ ...file, through: "schema" })).errors).to.deep.equal([]);
      });

      it(`${stack} has no password, and asks for a server whose name is checked`, () => {
        const { config } = validateConfig(raw({ ...stackFile(stack), through: "schema" }));
        expect(config?.database).to.include({ sslmode: "verify-full", passwordFrom: "env:GUARDIAN_DB_PASSWORD" });
      });
    }
  });
});
