import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { flagName } from "../config/flags";
import { flagNames, readConfig, validateConfig, type GuardianConfig } from "../config";
import { consent, raw } from "./support/config";
import { upOf } from "./support/modules";

const user = "11111111-2222-4333-8444-55555555555a";

const age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

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
    const { config, errors } = validateConfig({
      ...raw({
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
          directory: "b",
          jobs: "8",
          maxAge: "2d",
          verify: "list",
          maxRestore: "30m",
          keep: { count: 3, age: "7d" },
          ...{ to: "s3://my-bucket/guardian/prod", recipients: [age], identityFrom: "file:k", kmsKey: "alias/k" },
          ...{ region: "eu-central-1", endpoint: "https://s3.example.org", pathStyle: "true" },
        },
        gates: { maxDataLoss: 0, warnSlowdown: "0.2", maxSlowdown: 1 },
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
      }),
      "aws:region": "eu-central-1",
    });
    expect(errors).to.deep.equal([]);
    expect(config).to.deep.equal({
      through: "data",
      database: { host: "db", port: 5433, database: "g", user: "u", sslmode: "require", passwordFrom: "file:p" },
      legacyConsent: { mode: "pending", legalBasis: "consent", statement: "ask" },
      flags: {
        telehealth: { description: "Visits by video", module: "004_enhanced_consent" },
        constructor: { description: "x" },
      },
      rollout: { fhir_integration: 50, enhanced_consent: 7, telehealth: 3, constructor: 1 },
      allowList: { multi_tenancy: [user] },
      backup: {
        directory: "b",
        jobs: 8,
        maxAge: 172_800,
        verify: "list",
        maxRestore: 1800,
        keep: { count: 3, age: 604_800 },
        ...{ to: "s3://my-bucket/guardian/prod", recipients: [age], identityFrom: "file:k", kmsKey: "alias/k" },
        ...{ region: "eu-central-1", endpoint: "https://s3.example.org", pathStyle: true },
      },
      gates: { maxDataLoss: 0, warnSlowdown: 0.2, maxSlowdown: 1 },
      locks: { timeout: 120, pause: 7000, patience: 120_000 },
      purge: true,
      adopt: user,
      acknowledge: user,
      publications: { supabase_realtime: "accepted", "a.b": "accepted" },
      operators: { ann: "accepted" },
      scratch: { host: "scratch", port: 5434, user: "s", passwordFrom: "env:S" },
      strict: true,
      onBreach: "rollback",
      accept: { 'backup/public."a.b"': "its type is of an extension" },
      signOff: { "support-trained": { by: "A. Lovelace", on: "2026-11-30", note: "a course of two days" } },
      endpoints: [{ url: "https://api.example.org/health", status: 200 }],
      aws: { instance: "guardian-prod" },
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
      "guardian:rollout.fhir is not known: the nearest known key is guardian:rollout.fhir_integration",
      "guardian:adopt does not fit: it must be a uuid",
      "guardian:trough is not known: the nearest known key is guardian:through",
    ]);
  });

  const refused: [string, Record<string, unknown>, string][] = [
    [
      "an unknown flag",
      { rollout: { fhir_integratoin: 5 } },
      "guardian:rollout.fhir_integratoin is not known: the nearest known key is guardian:rollout.fhir_integration",
    ],
    [
      "per cent 101",
      { rollout: { event_sourcing: 101 } },
      "guardian:rollout.event_sourcing is 101: it must be a whole number from 0 to 100",
    ],
    [
      "per cent -1",
      { rollout: { event_sourcing: "-1" } },
      'guardian:rollout.event_sourcing is "-1": it must be a whole number from 0 to 100',
    ],
    [
      "half a per cent",
      { rollout: { event_sourcing: 0.5 } },
      "guardian:rollout.event_sourcing is 0.5: it must be a whole number from 0 to 100",
    ],
    [
      "a per cent in words",
      { rollout: { event_sourcing: "half" } },
      "guardian:rollout.event_sourcing is no number: it must be a whole number from 0 to 100",
    ],
    [
      "an object that is a word",
      { gates: "none" },
      "guardian:gates is no object: set its keys one by one, pulumi config set --path",
    ],
    [
      "an object that is a list",
      { rollout: [5] },
      "guardian:rollout is no object: set its keys one by one, pulumi config set --path",
    ],
    ["a key in capitals", { GATES: {} }, "guardian:GATES is not known: the nearest known key is guardian:gates"],
    [
      "an unknown key in an object",
      { backup: { directry: "x" } },
      "guardian:backup.directry is not known: the nearest known key is guardian:backup.directory",
    ],
    [
      "16-5: a try that waits longer than the locks may be held",
      { locks: { timeout: "201ms" } },
      "guardian:locks.timeout does not fit: it must be a number with ms, s or m, from 1ms to 200ms",
    ],
    [
      "16-5: a pause without a unit",
      { locks: { pause: 5 } },
      "guardian:locks.pause does not fit: it must be a number with ms, s or m, from 1ms to 10m",
    ],
    [
      "16-5: how long the locks are held",
      { locks: { hold: "1s" } },
      "guardian:locks.hold is not known: for how long v6 is locked is fixed, 200 ms",
    ],
    [
      "18-4: a store and nobody it is encrypted for",
      { backup: { to: "s3://my-bucket" } },
      "guardian:backup.recipients is missing: backups hold patients' data, say whose age keys they are encrypted for before they leave, or [none]",
    ],
    [
      "18-3: keys for backups that stay",
      { backup: { recipients: [age] } },
      "guardian:backup.recipients has no effect without guardian:backup.to: on this machine a backup is kept in a folder of mode 0700, not encrypted",
    ],
    [
      "18-3: an identity in the place of a recipient, which is not shown",
      { backup: { to: "s3://my-bucket", recipients: ["AGE-SECRET-KEY-1XYZ"] } },
      "guardian:backup.recipients has something else at [0]: it must be a list of age keys (age1…), or [none]",
    ],
    [
      "18-3: none beside keys",
      { backup: { to: "s3://my-bucket", recipients: [age, "none"] } },
      "guardian:backup.recipients has none beside keys: it is one or the other",
    ],
    [
      "18-4: plain backups over plain http",
      { backup: { to: "s3://my-bucket", recipients: ["none"], endpoint: "http://s3.example.org:9000" } },
      "guardian:backup.endpoint is not encrypted (http), and neither is the backup: use https, or name guardian:backup.recipients",
    ],
    [
      "18-4: a store that is no bucket",
      { backup: { to: "https://my-bucket.s3.amazonaws.com", recipients: [age] } },
      "guardian:backup.to does not fit: it must be s3://bucket or s3://bucket/prefix",
    ],
    ["no jobs", { backup: { jobs: 0 } }, "guardian:backup.jobs is 0: it must be a whole number from 1 to 64"],
    [
      "an age without a unit",
      { backup: { maxAge: "90" } },
      "guardian:backup.maxAge does not fit: it must be a number with s, m, h or d, such as 30m, 1h or 2d",
    ],
    [
      "gates that cannot warn",
      { gates: { warnSlowdown: 0.3 } },
      "guardian:gates.warnSlowdown is 0.3, above maxSlowdown 0.25: it would never warn",
    ],
    [
      "a loss above all",
      { gates: { maxDataLoss: 2 } },
      "guardian:gates.maxDataLoss is 2: it must be a number from 0 to 1",
    ],
    [
      "a publication with another word",
      { publications: { p: "yes" } },
      'guardian:publications.p is "yes": it must be one of accepted',
    ],
    ["a purge that is no yes or no", { purge: "yes" }, 'guardian:purge is "yes": it must be one of true, false'],
    [
      "an sslmode",
      { database: { sslmode: "on" } },
      'guardian:database.sslmode is "on": it must be one of disable, allow, prefer, require, verify-ca, verify-full',
    ],
    [
      "a port",
      { database: { port: 70000 } },
      "guardian:database.port is 70000: it must be a whole number from 1 to 65535",
    ],
    [
      "a list that is no list of uuids",
      { allowList: { multi_tenancy: [user, "bob"] } },
      "guardian:allowList.multi_tenancy has something else at [1]: it must be a list of uuids",
    ],
    [
      "a single uuid where a list belongs",
      { allowList: { multi_tenancy: user } },
      "guardian:allowList.multi_tenancy does not fit: it must be a list of uuids",
    ],
    [
      "pending on another basis than consent",
      { legacyConsent: { mode: "pending", legalBasis: "contract", statement: "ask them" } },
      "guardian:legacyConsent.legalBasis is contract, but mode pending asks for a consent: only consent is allowed with it",
    ],
    [
      "an empty statement",
      { legacyConsent: { ...consent, statement: "  " } },
      "guardian:legacyConsent.statement does not fit: it must be the operator's reason in words",
    ],
    ...[
      "TODO",
      "todo.",
      "<your reason>",
      "Lorem ipsum dolor sit",
      "xxx",
      "...",
      "x",
      "test",
      "why, in one sentence",
      "To be decided.",
      "TBA by legal",
      "[insert reason]",
      "Insert your statement here",
      "CHANGEME",
      "REPLACE_ME",
      "dummy text",
      "blah blah",
      "the operator's reason",
    ].map((statement): [string, Record<string, unknown>, string] => [
      `16-18 a statement that is a placeholder: ${statement}`,
      { legacyConsent: { ...consent, statement } },
      "guardian:legacyConsent.statement is a placeholder, and would be kept as evidence with each patient's row: say why, in your own words",
    ]),
    [
      "16-9 a statement that is longer than what is kept with a row",
      { legacyConsent: { ...consent, statement: "They were told. ".repeat(126) } },
      "guardian:legacyConsent.statement has 2016 characters, and is kept with each patient's row: 2000 at most",
    ],
    [
      "an unknown basis",
      { legacyConsent: { ...consent, legalBasis: "habit" } },
      'guardian:legacyConsent.legalBasis is "habit": it must be one of consent, contract, legal_obligation, vital_interests, public_task, legitimate_interests',
    ],
    [
      "no mode",
      { legacyConsent: { legalBasis: "consent", statement: "ask them" } },
      "guardian:legacyConsent.mode is missing: it must be one of assumed, pending",
    ],
  ];
  for (const [what, values, error] of refused) {
    it(`refuses ${what}`, () => expect(errorsOf(values)).to.deep.equal([error]));
  }

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
      "guardian:rollout.telehelth is not known: the nearest known key is guardian:rollout.telehealth",
      "guardian:allowList.telehelath is not known: the nearest known key is guardian:allowList.telehealth",
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
    expect(all).to.include(
      "guardian:database.password is not known: a password is never in the configuration, passwordFrom says where it is",
    );
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
