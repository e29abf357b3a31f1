import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { foundationProject, readFoundation, readPasswords, validateFoundation } from "../../config/foundation";
import { foundation } from "../../config/foundation/keys";
import { declaredIn } from "../support/declared";
import { root } from "../support/plugin";
import { withFolder } from "../support/folder";

type Values = Record<string, unknown>;

const named = (values: Values): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`${foundationProject}:${key}`, JSON.stringify(value)]),
  );

const errorsOf = (values: Values): string[] => validateFoundation(named(values)).errors;

const database = { host: "db", database: "postgres", user: "admin", passwordFrom: "env:ADMIN" };
const migrator = { passwordFrom: "env:MIGRATOR" };

describe("foundation/, its configuration", () => {
  for (const stack of ["staging", "prod"]) {
    it(`18-1 ${stack}'s file carries every key, fits, and has no password`, () => {
      const text = readFileSync(join(root, "foundation", `Pulumi.${stack}.yaml`), "utf8");
      const { config } = parse(text) as { config: Values };
      expect(Object.keys(config)).to.deep.equal(
        Object.keys(foundation.fields).map((key) => `${foundationProject}:${key}`),
      );
      const given = Object.entries(config).map(([key, value]) => [key.split(":")[1] ?? "", value] as const);
      const checked = validateFoundation(named(Object.fromEntries(given)));
      expect(checked.errors).to.deep.equal([]);
      expect(checked.config?.database).to.include({
        sslmode: "verify-full",
        passwordFrom: "env:GUARDIAN_ADMIN_PASSWORD",
      });
    });
  }

  it("18-1 fills in what stands where nothing is given", () => {
    expect(validateFoundation({})).to.deep.equal({
      config: { database: undefined, access: undefined, aws: undefined },
      errors: [],
    });
    expect(
      validateFoundation(named({ database, access: { operators: [], migrator, auditor: {} } })).config,
    ).to.deep.equal({
      database: { ...database, port: 5432, sslmode: "verify-full" },
      access: { migrator, operators: [], server: 17, userProfiles: true },
      aws: undefined,
    });
  });

  it("18-8 a missing, unknown or contradictory key is one clear error each, all at once", () => {
    const at = (key: string): string => `guardian-foundation:${key}`;
    expect(errorsOf({ access: { migrator } })).to.deep.equal([
      `${at("database")} is missing, and access names roles: say where they are made, {host, port, database, user, passwordFrom}`,
    ]);
    expect(errorsOf({ database, access: { server: 17 } })).to.deep.equal([
      `${at("access")} names no role: give migrator, auditor, backup or operators, or take it out`,
    ]);
    const change = "change it: it stands in the file's history";
    expect(
      errorsOf({
        database: { host: "db", sslmode: "prefer", password: "x" },
        access: { migrater: {}, migrator: { password: "x" }, auditor: { passwordFrom: "hunter2" }, server: 14 },
        acces: {},
      }),
    ).to.deep.equal([
      `${at("database.database")} is missing: it must be a name`,
      `${at("database.user")} is missing: it must be a name`,
      `${at("database.sslmode")} is "prefer": it must be one of disable, require, verify-ca, verify-full`,
      `${at("database.password")} is not known: a password is never in the configuration, passwordFrom says where it is; ${change}`,
      `${at("access.migrator.password")} does not fit: it must be at least 16 characters of printable ASCII without spaces`,
      `${at("access.auditor.passwordFrom")} does not fit: it must be env:NAME or file:PATH; if it is the password itself, ${change}`,
      `${at("access.server")} is 14: it must be a whole number from 15 to 99`,
      `${at("access.migrater")} is not known: the nearest known key is ${at("access.migrator")}`,
      `${at("acces")} is not known: the nearest known key is ${at("access")}`,
    ]);
    expect(
      errorsOf({ database, access: { migrator, auditor: migrator, backup: { passwordFrom: "env:ADMIN" } } }),
    ).to.deep.equal([
      `${at("access.auditor.passwordFrom")} is the same as that of access.migrator.passwordFrom: each role has its own`,
      `${at("access.backup.passwordFrom")} is the same as that of database.passwordFrom: each role has its own`,
    ]);
    const operator = (...members: string[]) => errorsOf({ database, access: { operators: members } });
    expect(operator("alice", "guardian_auditor")).to.deep.equal([
      `${at("access.operators")} has guardian_auditor, which is one of the four itself: name people`,
    ]);
    expect(operator("alice", "alice")).to.deep.equal([`${at("access.operators")} has a name twice`]);
  });

  it("18-2 a password may be made once and kept as a secret of the stack's file, and never in clear", () => {
    const kept = { password: "made-by-openssl-rand-24+/" };
    const given = { database, access: { migrator: kept, auditor: { passwordFrom: "env:LONG" } } };
    const secrets = [`${foundationProject}:access`];
    const { config, errors } = validateFoundation(named(given), secrets);
    expect(errors).to.deep.equal([]);
    const env = { ADMIN: "short", LONG: "sixteen-or-more!" };
    expect(readPasswords(config!, "/", env)).to.deep.equal({
      database: "short",
      migrator: kept.password,
      auditor: "sixteen-or-more!",
    });
    expect(() => readPasswords(config!, "/", { ...env, LONG: kept.password })).to.throw("the same as that of auditor");
    const at = "guardian-foundation:access.migrator";
    expect(validateFoundation(named(given)).errors).to.deep.equal([
      `${at}.password stands in clear in the stack's file: make another, and set it with --secret`,
    ]);
    const saying = (one: object): string[] =>
      validateFoundation(named({ database, access: { migrator: one } }), secrets).errors;
    expect(saying({ password: "too-short" })).to.deep.equal([
      `${at}.password does not fit: it must be at least 16 characters of printable ASCII without spaces`,
    ]);
    expect(saying({ ...kept, ...migrator })).to.deep.equal([`${at} has both passwordFrom and password: take one out`]);
    expect(saying({ other: "x" })).to.include(`${at} needs passwordFrom, env:NAME or file:PATH, or password, a secret`);
  });

  it("18-2 a password in clear is refused beside another that is a secret, of which Pulumi says no more than that there is one", async () => {
    const [hidden, clear] = ["made-by-openssl-rand-24+/", "written-down-by-hand"];
    const access = { migrator: { password: hidden }, auditor: { password: clear } };
    const secrets = [`${foundationProject}:access`];
    const secure = { secure: "v1:abc:def" };
    const error =
      "guardian-foundation:access.auditor.password stands in clear in the stack's file: make another, and set it with --secret";
    const errors = (written: unknown): string[] =>
      validateFoundation(named({ database, access }), secrets, written).errors;
    expect(errors({ migrator: { password: secure }, auditor: { password: clear } })).to.deep.equal([error]);
    expect(errors(JSON.stringify(access))).to.have.length(2);
    for (const fine of [{ migrator: { password: secure }, auditor: { password: secure } }, secure, undefined, null])
      expect(errors(fine)).to.deep.equal([]);

    const folder = mkdtempSync(join(tmpdir(), "guardian-clear-"));
    try {
      await pulumi.runtime.setMocks({ call: () => ({}), newResource: () => ({ id: "", state: {} }) }, "p", "prod");
      pulumi.runtime.setAllConfig(named({ database, access }), secrets);
      expect(readFoundation(folder).access?.auditor).to.deep.equal(access.auditor);
      const lines = ["migrator:", "  password:", "    secure: v1:abc:def", "auditor:", `  password: ${clear}`];
      const text = ["config:", `  ${foundationProject}:access:`, ...lines.map((line) => `    ${line}`)].join("\n");
      writeFileSync(join(folder, "Pulumi.prod.yaml"), text);
      expect(() => readFoundation(folder)).to.throw(error);
    } finally {
      pulumi.runtime.setAllConfig({});
      rmSync(folder, { recursive: true });
    }
  });

  it("18-2 passwords are read by reference, and all that is wrong with them is said at once, without a password", () => {
    return withFolder((folder) => {
      writeFileSync(join(folder, "own"), "a-long-one-of-its-own\n", { mode: 0o600 });
      writeFileSync(join(folder, "open"), "seen-by-everybody-else\n");
      chmodSync(join(folder, "open"), 0o644);
      const access = (migratorFrom: string, auditor: string, backup: string) =>
        validateFoundation(
          named({
            database,
            access: {
              migrator: { passwordFrom: migratorFrom },
              auditor: { passwordFrom: auditor },
              backup: { passwordFrom: backup },
            },
          }),
        ).config!;
      const env = {
        ADMIN: "short",
        SHORT: "x",
        LONG: "sixteen-or-more!",
        SAME: "sixteen-or-more!",
        WIDE: "sixteen or möre!",
      };
      expect(
        readPasswords(access("file:own", "env:LONG", "env:OTHER"), folder, { ...env, OTHER: "another-sixteen-x" }),
      ).to.deep.equal({
        database: "short",
        migrator: "a-long-one-of-its-own",
        auditor: "sixteen-or-more!",
        backup: "another-sixteen-x",
      });
      const saying = (...from: [string, string, string]): string[] => {
        try {
          readPasswords(access(...from), folder, env);
        } catch (err) {
          return (err as Error).message
            .split("\n")
            .slice(1)
            .map((line) => line.replace(/^ +guardian-foundation:access\./, ""));
        }
        return [];
      };
      expect(saying("env:ABSENT", "file:absent", "file:open")).to.deep.equal([
        "migrator.passwordFrom (env:ABSENT): the variable ABSENT is not set: export it before pulumi is started",
        `auditor.passwordFrom (file:absent): the file cannot be read (ENOENT): ${join(folder, "absent")}`,
        `backup.passwordFrom (file:open): others may read the file: chmod 0600 ${join(folder, "open")}`,
      ]);
      expect(saying("env:LONG", "env:SAME", "env:WIDE")).to.deep.equal([
        "auditor.passwordFrom (env:SAME): the password is the same as that of migrator: each role has its own",
        "backup.passwordFrom (env:WIDE): the password has other characters than printable ASCII without spaces",
      ]);
      expect(saying("env:SHORT", "env:LONG", "file:own")[0]).to.contain("fewer than 16 characters");
    });
  });

  it("18-8 a stack that configures nothing declares nothing, and loads no package of a cloud's or of PostgreSQL's", async () => {
    const loaded = (): string[] =>
      Object.keys(require.cache).filter((file) => /@pulumi\/(aws|postgresql)\//.test(file));
    const before = loaded();
    const nothing = await declaredIn("foundation", { project: foundationProject, stack: "prod", config: {} });
    expect(nothing).to.deep.equal({ resources: [], result: {} });
    expect(loaded()).to.deep.equal(before);
  });
});
