import * as pulumi from "@pulumi/pulumi";
import { Grant } from "@pulumi/postgresql/grant";
import { GrantRole } from "@pulumi/postgresql/grantRole";
import { Provider } from "@pulumi/postgresql/provider";
import { Role, type RoleArgs } from "@pulumi/postgresql/role";
import type { FoundationConfig, Passwords } from "../config/foundation";
import { profiles, rolesOf, type Right, type Role as RoleSpec } from "../spec/roles";
import { scramVerifier } from "./scram";

type Given<K extends keyof FoundationConfig> = NonNullable<FoundationConfig[K]>;

interface DatabaseAccessArgs {
  database: Given<"database">;
  access: Given<"access">;
  passwords: Passwords;
}

/**
 * Roles of the database, with the rights that spec/roles.ts says and no others. Only what it makes itself is ever changed: a
 * Grant revokes before it grants, and only from these roles; what v6 has keeps its owners and rights. What a role owns, or others
 * granted to it, stops its end: roll the migration back and purge first, since ledger and archive are the migrator's.
 * @lazily
 */
export class DatabaseAccess extends pulumi.ComponentResource {
  /** The names of the roles. */
  readonly roles: string[];
  readonly #provider: pulumi.ProviderResource;
  /** The resource after which the next one comes. */
  #last: pulumi.Resource | undefined;

  constructor(name: string, args: DatabaseAccessArgs, options: pulumi.ComponentResourceOptions = {}) {
    super("guardian:foundation:DatabaseAccess", name, {}, options);
    const { database, access, passwords } = args;
    this.#provider = new Provider(
      "database",
      {
        host: database.host,
        port: database.port,
        database: database.database,
        username: database.user,
        ...(passwords["database"] === undefined ? {} : { password: pulumi.secret(passwords["database"]) }),
        sslmode: database.sslmode,
        // Else the plugin reads hashes from pg_shadow, which it could not compare with what was given.
        superuser: false,
        connectTimeout: 15,
      },
      { parent: this },
    );
    const wanted = rolesOf(access.server).filter(
      ({ name: role }) => (role === "guardian_operator" ? "operators" : keyOf(role)) in access,
    );
    this.roles = wanted.map((role) => role.name);
    for (const role of wanted) this.#make(role, args);
    for (const member of access.operators ?? []) {
      const grantRole = "guardian_operator";
      this.#chain(new GrantRole(`${grantRole} ${member}`, { role: member, grantRole }, this.#next()));
    }
    this.registerOutputs({ roles: this.roles });
  }

  #make({ name, login, rights }: RoleSpec, { database: { database }, access, passwords }: DatabaseAccessArgs): void {
    const password = passwords[keyOf(name)];
    const has = (attribute: string): boolean => rights.some((it) => it.kind === "role" && it.privilege === attribute);
    const made: RoleArgs = {
      name,
      login,
      inherit: true,
      superuser: false,
      createRole: false,
      createDatabase: false,
      replication: false,
      bypassRowLevelSecurity: has("BYPASSRLS"),
      // Here and not by GrantRole: an update of the role, such as a new password, revokes all memberships that do not stand here.
      roles: rights.filter(({ kind }) => kind === "member").map((it) => it.name),
      // Else its end would give all that it owns to the administrator, functions that run with the owner's rights among them.
      skipReassignOwned: true,
      ...(password === undefined ? {} : { password: pulumi.secret(scramVerifier(name, password)) }),
    };
    this.#chain(new Role(name, made, this.#next()));
    // One Grant an object: of two on one, each would take the other's rights for a change.
    for (const [object, privileges] of grouped(
      rights.filter(({ name: on }) => access.userProfiles || on !== profiles),
    )) {
      const [schema = "", table] = object.split(".");
      const on =
        table !== undefined
          ? { objectType: "table", schema, objects: [table] }
          : schema
            ? { objectType: "schema", schema }
            : { objectType: "database" };
      const what = object || "database";
      this.#chain(new Grant(`${name} ${what}`, { role: name, database, ...on, privileges }, this.#next()));
    }
  }

  /** One after the other: two at once on one catalogue row end with "tuple concurrently updated". */
  #next(): pulumi.CustomResourceOptions {
    return { parent: this, provider: this.#provider, ...(this.#last ? { dependsOn: [this.#last] } : {}) };
  }

  #chain(resource: pulumi.Resource): void {
    this.#last = resource;
  }
}

/** guardian_migrator is `migrator` in the configuration. */
const keyOf = (role: string): string => role.replace(/^guardian_/, "");

/** @returns by object (the database is ""), in order, the privileges that are given on it, sorted */
function grouped(rights: readonly Right[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { kind, name, privilege } of rights) {
    if (kind === "role" || kind === "member") continue;
    found.set(name, [...(found.get(name) ?? []), ...privilege.split(", ")].sort());
  }
  return found;
}
