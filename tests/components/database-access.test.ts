import { expect } from "chai";
import { foundationProject } from "../../config/foundation";
import { scramVerifier } from "../../components/scram";
import { declaredIn, type DeclaredResource } from "../support/declared";

const passwords = {
  GUARDIAN_ADMIN_PASSWORD: "the-administrator's",
  GUARDIAN_DB_PASSWORD: "sixteen-characters-m",
  GUARDIAN_AUDITOR_PASSWORD: "sixteen-characters-a",
  GUARDIAN_BACKUP_PASSWORD: "sixteen-characters-b",
};

const database = {
  host: "db.internal",
  database: "postgres",
  user: "postgres",
  passwordFrom: "env:GUARDIAN_ADMIN_PASSWORD",
};

const access = {
  migrator: { passwordFrom: "env:GUARDIAN_DB_PASSWORD" },
  auditor: { passwordFrom: "env:GUARDIAN_AUDITOR_PASSWORD" },
  backup: { passwordFrom: "env:GUARDIAN_BACKUP_PASSWORD" },
  operators: ["alice", "bob"],
};

async function program(stack: string, config: Record<string, unknown>) {
  Object.assign(process.env, passwords);
  try {
    const keys = Object.entries(config).map(([key, value]) => [`${foundationProject}:${key}`, value] as const);
    return await declaredIn("foundation", { project: foundationProject, stack, config: Object.fromEntries(keys) });
  } finally {
    for (const name of Object.keys(passwords)) Reflect.deleteProperty(process.env, name);
  }
}

const role = (name: string, more: Record<string, unknown>) => ({
  ...{ name, inherit: true, superuser: false, createRole: false, createDatabase: false, replication: false },
  ...{ skipReassignOwned: true, ...more },
});

/** The rights of the migrator by object, as docs/rights.md has them. */
const onTables = (lock: string): Record<string, string[]> => ({
  "auth.users": [lock, "REFERENCES", "SELECT", "TRIGGER"].sort(),
  "public.documents": [lock, "REFERENCES", "SELECT"].sort(),
  "public.patient_medications": [lock, "REFERENCES", "SELECT"].sort(),
  "public.patient_allergies": ["SELECT"],
  "public.patient_conditions": ["SELECT"],
  "public.patient_lab_results": [lock, "REFERENCES", "SELECT"].sort(),
  "public.patient_vitals": [lock, "REFERENCES", "SELECT"].sort(),
  "public.patient_providers": ["SELECT"],
  "public.user_profiles": [lock, "SELECT", "TRIGGER"].sort(),
});

type Grants = [name: string, inputs: Record<string, unknown>][];

function expected(lock: string): Grants {
  const grant = (name: string, object: string, on: Record<string, unknown>, privileges: string[]): Grants[number] => {
    return [`${name} ${object}`, { role: name, database: "postgres", ...on, privileges }];
  };
  const connect = (name: string): Grants[number] => grant(name, "database", { objectType: "database" }, ["CONNECT"]);
  const login = (name: string, password: string, ...more: string[]): Grants[number] => [
    name,
    role(name, {
      login: true,
      bypassRowLevelSecurity: true,
      roles: ["pg_read_all_data", ...more],
      password: scramVerifier(name, password),
    }),
  ];
  const tables = Object.entries(onTables(lock)).map(([table, privileges]) => {
    const [schema = "", name = ""] = table.split(".");
    return grant("guardian_migrator", table, { objectType: "table", schema, objects: [name] }, privileges);
  });
  return [
    login("guardian_migrator", passwords.GUARDIAN_DB_PASSWORD, "pg_read_all_stats"),
    grant("guardian_migrator", "database", { objectType: "database" }, ["CONNECT", "CREATE"]),
    grant("guardian_migrator", "public", { objectType: "schema", schema: "public" }, ["CREATE", "USAGE"]),
    grant("guardian_migrator", "auth", { objectType: "schema", schema: "auth" }, ["USAGE"]),
    ...tables,
    ["guardian_operator", role("guardian_operator", { login: false, bypassRowLevelSecurity: false, roles: [] })],
    connect("guardian_operator"),
    grant("guardian_operator", "public", { objectType: "schema", schema: "public" }, ["USAGE"]),
    login("guardian_auditor", passwords.GUARDIAN_AUDITOR_PASSWORD, "pg_read_all_stats"),
    connect("guardian_auditor"),
    login("guardian_backup", passwords.GUARDIAN_BACKUP_PASSWORD),
    connect("guardian_backup"),
    ["guardian_operator alice", { role: "alice", grantRole: "guardian_operator" }],
    ["guardian_operator bob", { role: "bob", grantRole: "guardian_operator" }],
  ];
}

const typeOf = ([name, inputs]: Grants[number]): string => {
  if ("objectType" in inputs) return "postgresql:index/grant:Grant";
  return name.includes(" ") ? "postgresql:index/grantRole:GrantRole" : "postgresql:index/role:Role";
};

describe("components/database-access", function () {
  this.timeout(120_000);

  for (const [stack, server, lock] of [
    ["prod", 17, "MAINTAIN"],
    ["staging", 15, "DELETE"],
  ] as const) {
    it(`18-2 ${stack}, on PostgreSQL ${server}: every resource with all its inputs, options and dependencies`, async () => {
      const { resources, result } = await program(stack, { database, access: { ...access, server } });
      const wanted = expected(lock);
      const parent = "guardian:foundation:DatabaseAccess access";
      const all: DeclaredResource[] = [
        { type: "guardian:foundation:DatabaseAccess", name: "access", inputs: {}, options: {} },
        {
          type: "pulumi:providers:postgresql",
          name: "database",
          inputs: {
            ...{ host: "db.internal", port: "5432", database: "postgres", username: "postgres" },
            ...{ password: "the-administrator's", sslmode: "verify-full", superuser: "false", connectTimeout: "15" },
          },
          secrets: ["password"],
          secretOutputs: ["password"],
          options: { parent },
        },
        ...wanted.map((it, i) => ({
          type: typeOf(it),
          name: it[0],
          inputs: it[1],
          ...("password" in it[1] ? { secrets: ["password"] } : {}),
          ...(typeOf(it).endsWith(":Role") ? { secretOutputs: ["password", "passwordWo"] } : {}),
          options: {
            ...{ parent, provider: "pulumi:providers:postgresql database" },
            // Each waits for the one before it: two at once on a row of the catalogue would fail.
            ...(i > 0 ? { dependsOn: [`${typeOf(wanted[i - 1]!)} ${wanted[i - 1]![0]}`] } : {}),
          },
        })),
      ];
      expect(resources).to.deep.equal(all);
      expect(result["roles"]).to.deep.equal([
        "guardian_migrator",
        "guardian_operator",
        "guardian_auditor",
        "guardian_backup",
      ]);
    });
  }

  it("18-2 no role's password is told to the engine, only its verifier, the same each time", async () => {
    const config = { database, access };
    const [first, second] = [await program("prod", config), await program("prod", config)];
    expect(first).to.deep.equal(second);
    const told = JSON.stringify(first);
    for (const [name, password] of Object.entries(passwords)) {
      expect(told.includes(password), name).to.equal(name === "GUARDIAN_ADMIN_PASSWORD");
    }
  });

  it("18-2 makes the roles that are named and no others, and grants on user_profiles only where v6 has it", async () => {
    const some = { migrator: access.migrator, userProfiles: false };
    const { resources } = await program("prod", { database, access: some });
    const names = resources.map(({ name }) => name);
    expect(names.filter((name) => /^guardian_\w+$/.test(name))).to.deep.equal(["guardian_migrator"]);
    expect(names)
      .to.include("guardian_migrator public.documents")
      .and.not.include("guardian_migrator public.user_profiles");
  });
});
