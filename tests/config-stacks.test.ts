import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { validateConfig } from "../config";
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

    it("Pulumi.yaml declares exactly the keys that config.ts knows, each with a default", () => {
      const known = validateConfig(raw({ legacyConsent: consent })).config ?? {};
      expect(keys.toSorted()).to.deep.equal(Object.keys(known).toSorted());
      const bare = Object.entries(declared.config).filter(
        ([, key]) => (key as { default?: unknown }).default === undefined,
      );
      expect(bare).to.deep.equal([]);
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
