import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { flagName } from "../config/flags";
import { flagNames, readConfig, validateConfig, type GuardianConfig } from "../config";
import { age, consent, raw, user } from "./support/config";
import { upOf } from "./support/modules";

const errorsOf = (values: Record<string, unknown>): string[] =>
  validateConfig(raw({ legacyConsent: consent, ...values })).errors;

describe("config", () => {
  it("fills in every default", () => {
    const expected: GuardianConfig = {
      through: "deployment",
      database: undefined,
      legacyConsent: { mode: "assumed", legalBasis: "consent", statement: "they were told" },
      flags: {},
      rollout: {},
      allowList: {},
      backup: {
        directory: ".guardian/backups",
        jobs: 2,
        maxAge: 3600,
        verify: "restore",
        keep: { count: 5, age: 2_592_000 },
      },
      gates: { maxDataLoss: 0.001, warnSlowdown: 0.1, maxSlowdown: 0.25 },
      locks: undefined,
      purge: false,
      adopt: undefined,
      acknowledge: undefined,
      publications: {},
      operators: {},
      scratch: undefined,
      strict: false,
      onBreach: "stop",
      accept: {},
      signOff: {},
      endpoints: [],
      aws: undefined,
    };
    expect(validateConfig(raw({ legacyConsent: consent }))).to.deep.equal({ config: expected, errors: [] });
  });

  it("reads every key", () => {
    const given = {
      through: "data",
      database: { host: "db", port: "5433", database: "g", user: "u", sslmode: "require", passwordFrom: "file:p" },
      legacyConsent: { mode: "pending", legalBasis: "consent", statement: "ask" },
      flags: {
        telehealth: { description: "Visits by video", module: "004_enhanced_consent" },
        constructor: { description: "x" },
      },
      rollout: { fhir_integration: 50, enhanced_consent: "7", telehealth: "3", constructor: 1 },
      allowList: { multi_tenancy: [user.toUpperCase(), user] },
      backup: {
        ...{
          directory: "b",
          jobs: "8",
          maxAge: "2d",
          verify: "list",
          maxRestore: "30m",
          keep: { count: 3, age: "7d" },
        },
        ...{ to: "s3://my-bucket/guardian/prod", recipients: [age], identityFrom: "file:k", kmsKey: "alias/k" },
        ...{ region: "eu-central-1", endpoint: "https://s3.example.org", pathStyle: "true" },
      },
      gates: { maxDataLoss: 0, warnSlowdown: "0.2", maxSlowdown: 0.2 },
      locks: { timeout: "120ms", pause: "7s", patience: "2m" },
      purge: true,
      adopt: user.toUpperCase(),
      acknowledge: user,
      publications: { supabase_realtime: "accepted", "a.b": "accepted" },
      operators: { ann: "accepted" },
      scratch: { host: "scratch", port: "5434", user: "s", passwordFrom: "env:S" },
      strict: "true",
      onBreach: "rollback",
      accept: { 'backup/public."a.b"': "its type is of an extension" },
      signOff: { "support-trained": { by: "A. Lovelace", on: "2026-11-30", note: "a course of two days" } },
      endpoints: [{ url: "https://api.example.org/health" }],
      aws: { instance: "guardian-prod" },
    };
    const { config, errors } = validateConfig({ ...raw(given), "aws:region": "eu-central-1" });
    expect(errors).to.deep.equal([]);
    const { database, backup, scratch, endpoints } = given;
    expect(config).to.deep.equal({
      ...given,
      database: { ...database, port: 5433 },
      rollout: { fhir_integration: 50, enhanced_consent: 7, telehealth: 3, constructor: 1 },
      allowList: { multi_tenancy: [user] },
      backup: {
        ...{ ...backup, jobs: 8, maxAge: 172_800, maxRestore: 1800, keep: { count: 3, age: 604_800 } },
        pathStyle: true,
      },
      gates: { maxDataLoss: 0, warnSlowdown: 0.2, maxSlowdown: 0.2 },
      locks: { timeout: 120, pause: 7000, patience: 120_000 },
      adopt: user,
      scratch: { ...scratch, port: 5434 },
      strict: true,
      endpoints: [{ ...endpoints[0], status: 200 }],
    });
  });

  it("takes empty texts and objects as absent, as Pulumi.yaml's defaults hand them over", () => {
    const empty = {
      database: {},
      flags: {},
      rollout: {},
      allowList: {},
      backup: {},
      gates: {},
      locks: {},
      adopt: "",
      acknowledge: "",
      publications: {},
      operators: {},
      scratch: undefined,
      strict: false,
      accept: {},
      signOff: {},
      endpoints: "",
      aws: {},
    };
    const { config } = validateConfig(raw({ legacyConsent: consent, ...empty }));
    expect(config).to.deep.equal(validateConfig(raw({ legacyConsent: consent })).config);
  });

  it("reports all errors at once", () => {
    expect(
      validateConfig(raw({ trough: "data", through: "deploy", rollout: { fhir: 5, multi_tenancy: 101 }, adopt: "x" }))
        .errors,
    ).to.deep.equal([
      'guardian:through is "deploy": it must be one of infrastructure, schema, data, deployment',
      "guardian:rollout.multi_tenancy is 101: it must be a whole number from 0 to 100",
      "guardian:rollout.fhir is not known: the nearest known key is guardian:rollout.fhir_integration; a flag of your own is declared in guardian:flags",
      "guardian:adopt does not fit: it must be a uuid",
      "guardian:trough is not known: the nearest known key is guardian:through",
    ]);
  });

  it("knows the flags that module 001 seeds, and no others", () => {
    const sql = upOf("001_feature_flags");
    const seed = /CREATE FUNCTION public\.feature_flag_seed\(\)[\s\S]*?\$\$;/.exec(sql)?.[0] ?? "";
    const names = [...seed.matchAll(/^\s+(?:FROM \(VALUES\s+)?\('([a-z0-9_]+)', '/gm)].map((match) => match[1]);
    expect(names).to.deep.equal([...flagNames]);
  });

  it("16-14 rollout and allow-list know the flags of module 001 and the declared ones, and no others", () => {
    const flags = { telehealth: { description: "Visits by video" } };
    expect(errorsOf({ flags, rollout: { telehealth: 5 }, allowList: { telehealth: [user] } })).to.deep.equal([]);
    expect(errorsOf({ flags, rollout: { telehelth: 5 }, allowList: { telehelath: [user] } })).to.deep.equal([
      "guardian:rollout.telehelth is not known: the nearest known key is guardian:rollout.telehealth; a flag of your own is declared in guardian:flags",
      "guardian:allowList.telehelath is not known: the nearest known key is guardian:allowList.telehealth; a flag of your own is declared in guardian:flags",
    ]);
    expect(errorsOf({ rollout: { telehealth: 5 } })[0]).to.match(/^guardian:rollout\.telehealth is not known/);
  });

  it("16-14 a declared flag has a name that its row takes, no flag's of module 001, and a module that there is", () => {
    const check = /feature_name ~ '([^']+)'/.exec(upOf("001_feature_flags"))?.[1];
    expect(flagName.source).to.equal(check);
    const description = "Visits by video";
    const flags = {
      Telehealth: { description },
      t: { description },
      event_sourcing: { description },
      visits: { description, module: "04_enhanced_consent" },
      untold: { module: "004_enhanced_consent" },
      long: { description: "x".repeat(501) },
      lines: { description: "a\nb" },
    };
    const rollout = { Telehealth: 5 };
    const modules = ["003_fhir_integration", "004_enhanced_consent"];
    const given = raw({ legacyConsent: consent, flags, rollout });
    const told = "does not fit: it must be one line of at most 500 characters";
    const named = "is no name of a flag: it must be 2 to 63 small letters, digits and _, a letter first";
    expect(validateConfig(given, [], modules).errors).to.deep.equal([
      "guardian:flags.untold.description is missing: it must be one line of at most 500 characters",
      `guardian:flags.long.description ${told}`,
      `guardian:flags.lines.description ${told}`,
      `guardian:flags.Telehealth ${named}`,
      `guardian:flags.t ${named}`,
      "guardian:flags.event_sourcing is a flag of module 001 already: take it out, guardian:rollout sets it",
      "guardian:flags.visits.module is no folder of sql/: the nearest is 004_enhanced_consent",
    ]);
    // Names that are keys of every object by nature.
    expect(validateConfig({ "guardian:flags": '{"__proto__": {"description": "x"}}' }).errors).to.deep.include(
      `guardian:flags.__proto__ ${named}`,
    );
    expect(errorsOf({ flags: "none" })).to.deep.equal([
      "guardian:flags is no object: set its keys one by one, pulumi config set --path",
    ]);
  });

  it("wants legacyConsent only where through reaches the data stage", () => {
    const missing = (through: string): number => validateConfig(raw({ through })).errors.length;
    expect(["infrastructure", "schema", "data", "deployment"].map(missing)).to.deep.equal([0, 0, 1, 1]);
  });

  it("a key whose namespace is this one but for a slip is an error; that of a provider is its own", () => {
    const errorsWith = (key: string) => validateConfig({ ...raw({ legacyConsent: consent }), [key]: "schema" }).errors;
    for (const slip of ["guardain", "gaurdian", "guardian1", "Guardian"])
      expect(errorsWith(`${slip}:through`)).to.deep.equal([
        `${slip}:through is nobody's: guardian:through is meant, it seems`,
      ]);
    for (const key of ["aws:region", "pulumi:tags", "postgresql:host", "guardian-foundation:access", "garden:through"])
      expect(errorsWith(key), key).to.deep.equal([]);
  });

  it("survives keys that JavaScript objects have by nature", () => {
    expect(
      validateConfig({ "guardian:__proto__": "{}", "guardian:constructor": "x" }).errors.slice(0, 2),
    ).to.deep.equal([
      "guardian:__proto__ is not known: the nearest known key is guardian:operators",
      "guardian:constructor is not known: the nearest known key is guardian:strict",
    ]);
  });

  it("never shows what may be a password", () => {
    const secret = "hunter2-marked";
    const all = [
      { database: { password: secret, host: `postgres://u:${secret}@h/d`, passwordFrom: secret, hst: secret } },
      { legacyConsent: { ...consent, statement: { secret } } },
      { allowList: { multi_tenancy: [secret] }, adopt: secret, backup: { maxAge: secret, directory: [secret] } },
      { rollout: { multi_tenancy: secret }, [`unknown`]: secret, database: secret },
    ].flatMap(errorsOf);
    expect(all).to.have.lengthOf(12);
    expect(all.filter((error) => error.includes("hunter2"))).to.deep.equal([]);
    const change = "change it: it stands in the file's history";
    expect(all).to.include.members([
      `guardian:database.password is not known: a password is never in the configuration, passwordFrom says where it is; ${change}`,
      `guardian:database.passwordFrom does not fit: it must be env:NAME or file:PATH; if it is the password itself, ${change}`,
      `guardian:database.host does not fit: it must be a host name, an address or a socket directory, and no URL; if a password is in it, ${change}`,
      `guardian:database is no object: set its keys one by one, pulumi config set --path; if a password is in it, ${change}`,
    ]);
  });

  it("does not show the value of a key that is a secret", () => {
    const values = raw({ legacyConsent: consent, through: "hunter2", rollout: { multi_tenancy: 777 } });
    expect(validateConfig(values, ["guardian:through", "guardian:rollout"]).errors).to.deep.equal([
      "guardian:through is not allowed (a secret, not shown): it must be one of infrastructure, schema, data, deployment",
      "guardian:rollout.multi_tenancy is not allowed (a secret, not shown): it must be a whole number from 0 to 100",
    ]);
  });

  describe("readConfig", () => {
    const configure = (values: Record<string, unknown>, secrets: string[] = []): void =>
      pulumi.runtime.setAllConfig(raw(values), secrets);
    before(() =>
      pulumi.runtime.setMocks({ call: () => ({}), newResource: () => ({ id: "", state: {} }) }, "guardian", "dev"),
    );
    afterEach(() => configure({}));

    it("keeps allow-lists secret, whether they were set so or not", async () => {
      configure({ legacyConsent: consent, allowList: { multi_tenancy: [user] } });
      const output = readConfig().allowList["multi_tenancy"];
      expect(await pulumi.isSecret(output!)).to.equal(true);
      expect(await new Promise((resolve) => pulumi.unsecret(output!).apply(resolve))).to.deep.equal([user]);
    });

    it("throws one RunError with all errors, and no secret value", () => {
      configure({ through: "hunter2", purge: "perhaps" }, ["guardian:through"]);
      const thrown = ((): unknown => {
        try {
          return readConfig();
        } catch (err) {
          return err;
        }
      })();
      expect(pulumi.RunError.isInstance(thrown)).to.equal(true);
      expect((thrown as Error).message).to.equal(
        [
          "The configuration of stack dev has 2 errors (Pulumi.dev.yaml) [config-invalid]:",
          "  guardian:through is not allowed (a secret, not shown): it must be one of infrastructure, schema, data, deployment",
          '  guardian:purge is "perhaps": it must be one of true, false',
        ].join("\n"),
      );
    });
  });
});
