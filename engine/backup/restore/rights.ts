import { escapeIdentifier } from "pg";
import { GuardianError } from "../../base/errors";
import { first } from "../../base/sql";
import type { Manifest } from "../manifest";
import { statementsOf } from "../prove/place";
import { printed, useList, type Restorer, type TocEntry } from "../prove/toc";
import { parsed, rolesIn, subject, type Parsed } from "./statements";
import { onTarget, rolesThere, type Target } from "./target";

/** Statements that a superuser alone may run (manual, of each), as the parser calls them. */
const forSuperusers =
  /^(CreateEventTrigStmt|AlterEventTrigStmt|CreateFdwStmt|CreatePLangStmt|CreateOpClassStmt|CreateOpFamilyStmt|CreateAmStmt)$/;

/** What a dump asks of who restores it. */
interface Asked {
  /** Roles to which something is given. */
  readonly owners: ReadonlySet<string>;
  /** Statements for superusers, by what they are about. */
  readonly superuser: readonly string[];
  /** Owners of what is in a schema of another, and that one: who may make something in it comes back last. */
  readonly within: readonly { readonly owner: string; readonly schema: string }[];
  /** Tables that keep their rows from their own owner too. */
  readonly forced: readonly string[];
}

/** How a restore is to be made there. */
interface Wanted {
  readonly manifest: Manifest;
  readonly restorer: Restorer;
  readonly dump: string;
  /** What of it is restored. */
  readonly entries: readonly TocEntry[];
  readonly target: Target;
  /** False: those that the definitions name must be there. */
  readonly roles: boolean;
  /** False: everything belongs to who restores. */
  readonly owners: boolean;
}

/**
 * Sees that all roles are there that must be, and that who restores may make all that is in a backup. A superuser may; anybody
 * else must have a share in each owner's rights, and can make nothing that is a superuser's.
 * @throws GuardianError restore-refused, right-missing, with all that is
 */
export async function refuseUnable(wanted: Wanted): Promise<void> {
  const { restorer, dump, target, roles } = wanted;
  const { isSuperuser } = target.server;
  if (roles && isSuperuser) return;
  const list = await useList(restorer.folder, "made", wanted.entries);
  const text = await printed(restorer, dump, ["--schema-only", "--no-tablespaces", "--no-subscriptions", list]);
  const statements = await parsed(await statementsOf(text));
  if (!roles) await refuseWithoutRoles(statements, target, restorer.signal);
  if (!isSuperuser) await refuseWithoutRights(statements, wanted);
}

/** Whoever makes no roles must have those that the definitions name. */
async function refuseWithoutRoles(statements: readonly Parsed[], target: Target, signal: AbortSignal): Promise<void> {
  const named = rolesIn(statements.map(({ body }) => body));
  const there = await onTarget(target.maintenance, signal, rolesThere);
  const absent = [...named].filter((name) => !there.has(name) && !name.startsWith("pg_")).sort();
  if (absent.length === 0) return;
  throw new GuardianError("restore-refused", {
    what: `roles that own or may use what is in the backup are not there: ${absent.join(", ")}; nothing was written`,
    where: target.settings.toString(),
    todo: ["make them, and restore again", "leave out --no-roles: they are made, without passwords"],
  });
}

/** What the role has there, and lacks. */
interface Found {
  readonly name: string;
  readonly createdb: boolean;
  readonly createrole: boolean;
  /** Owners in whose rights it has no share. */
  readonly strange: readonly string[];
  /** Extensions that it may not make. */
  readonly extensions: readonly string[];
}

/** @param asked owners, and extensions that are to be made */
async function look(
  { maintenance, server }: Target,
  asked: { owners: ReadonlySet<string>; extensions: readonly string[] },
  signal: AbortSignal,
): Promise<Found> {
  const set = server.major < 16 ? "" : " AND pg_catalog.pg_has_role(r.oid, 'SET')";
  const found = await onTarget(maintenance, signal, (client) =>
    first<Found & Record<string, unknown>>(
      client,
      `SELECT me.rolname AS name, me.rolcreatedb AS createdb, me.rolcreaterole AS createrole,
              ARRAY(SELECT o.name FROM pg_catalog.unnest($1::text[]) o (name)
                      LEFT JOIN pg_catalog.pg_roles r ON r.rolname = o.name
                     WHERE NOT coalesce(pg_catalog.pg_has_role(r.oid, 'USAGE')${set}, false) ORDER BY 1) AS strange,
              ARRAY(SELECT v.name::text FROM pg_catalog.pg_available_extension_versions v
                      JOIN pg_catalog.pg_available_extensions a ON a.name = v.name AND a.default_version = v.version
                     WHERE v.superuser AND NOT v.trusted AND v.name = ANY ($2::text[]) ORDER BY 1) AS extensions
         FROM pg_catalog.pg_roles me WHERE me.rolname = current_user`,
      [[...asked.owners], asked.extensions],
    ),
  );
  if (!found) throw new Error("the role of the session is not there");
  return found;
}

async function refuseWithoutRights(
  statements: readonly Parsed[],
  { manifest, entries, target, roles, owners, restorer }: Wanted,
): Promise<void> {
  const asked = askedBy(statements, owners);
  const made = new Set(entries.flatMap(({ kind, rest }) => (kind === "EXTENSION" ? (rest.split(" ")[1] ?? []) : [])));
  const extensions = Object.keys(manifest.around?.facts["extension"] ?? {}).filter(
    (name) => made.has(name) || made.has(escapeIdentifier(name)),
  );
  const me = await look(target, { owners: asked.owners, extensions }, restorer.signal);
  const role = escapeIdentifier(me.name);
  const there = roles ? await onTarget(target.maintenance, restorer.signal, rolesThere) : undefined;
  const making = Object.keys(manifest.around?.facts["role"] ?? {}).some((name) => there?.has(name) === false);
  const attributes = [
    ...(me.createdb || target.exists ? [] : ["CREATEDB"]),
    ...(me.createrole || !making ? [] : ["CREATEROLE"]),
  ];
  // Found out by pg_dump after all is restored.
  const hidden = target.server.bypassRls ? [] : asked.forced;
  const superuser = [...me.extensions.map((name) => `extension ${name}`), ...asked.superuser];
  const placed = asked.within
    .filter(({ owner, schema }) => !(schema === "public" && owner === me.name))
    .map(({ owner, schema }) => `${owner} in schema ${schema}`);
  const wrong = [
    ...(attributes.length > 0 ? [`it lacks ${attributes.join(" and ")}`] : []),
    ...(me.strange.length > 0 ? [`it may give nothing to ${some(me.strange)}`] : []),
    ...(hidden.length > 0 ? [`it lacks BYPASSRLS, without which rows of ${some(hidden)} cannot be compared`] : []),
    ...(superuser.length > 0 ? [`only a superuser makes ${some(superuser)}`] : []),
    ...(placed.length > 0
      ? [`only a superuser gives what is in a schema of another to its owner: ${some(placed)}`]
      : []),
  ];
  if (wrong.length === 0) return;
  const grants = [
    ...[...attributes, ...(hidden.length > 0 ? ["BYPASSRLS"] : [])].map((one) => `ALTER ROLE ${role} ${one};`),
    ...(me.strange.length > 0
      ? [`GRANT ${me.strange.map((one) => escapeIdentifier(one)).join(", ")} TO ${role};`]
      : []),
  ];
  const enough = superuser.length === 0 && placed.length === 0;
  throw new GuardianError("right-missing", {
    what: `${me.name} is no superuser there, and may not make all that is in the backup: ${wrong.join("; ")}; nothing was written`,
    where: target.settings.explain(),
    todo: [
      "name a superuser in --to",
      ...(grants.length > 0 && enough
        ? [`there, as a superuser (roles that are not there yet: make them, and --no-roles): ${grants.join(" ")}`]
        : []),
      ...(owners && superuser.length === 0 && hidden.length === 0
        ? ["where nobody is one, as in a cloud: --no-owner, by which all of it belongs to who restores"]
        : []),
    ],
  });
}

const some = (names: readonly string[]): string =>
  names.slice(0, 8).join(", ") + (names.length > 8 ? `, and ${names.length - 8} more` : "");

function askedBy(statements: readonly Parsed[], withOwners: boolean): Asked {
  const owners = new Set<string>();
  const superuser: string[] = [];
  const made: { owner: string; schema: string }[] = [];
  const schemas = new Map<string, string>();
  const secured = { AT_EnableRowSecurity: new Set<string>(), AT_ForceRowSecurity: new Set<string>() };
  for (const { text, kind, body } of statements) {
    if (isForSuperusers(kind, body))
      superuser.push(
        subject(text)
          .replace(/^(CREATE|ALTER) /, "")
          .split(/ (ON|HANDLER|USING|FOR|AS) /)[0] ?? "",
      );
    for (const { AlterTableCmd: command } of commandsOf(kind, body)) {
      const tables = secured[command?.subtype as keyof typeof secured] as Set<string> | undefined;
      const { name, schema } = namedIn(body);
      tables?.add(`${schema ?? "public"}.${name ?? ""}`);
    }
    if (!withOwners) continue;
    const owner = ownerIn(kind, body);
    if (owner === undefined) continue;
    owners.add(owner);
    const { name, schema } = namedIn(body);
    if (body["objectType"] === "OBJECT_SCHEMA" && name !== undefined) schemas.set(name, owner);
    else if (schema !== undefined) made.push({ owner, schema });
  }
  const strange = made.filter(({ owner, schema }) => schemas.get(schema) !== owner);
  const within = [...new Map(strange.map((one) => [`${one.owner} ${one.schema}`, one])).values()];
  const forced = [...secured.AT_ForceRowSecurity].filter((table) => secured.AT_EnableRowSecurity.has(table)).sort();
  return { owners, superuser, within, forced };
}

function isForSuperusers(kind: string, body: Parsed["body"]): boolean {
  if (kind === "CreatePublicationStmt")
    return body["for_all_tables"] === true || inText(body, "PUBLICATIONOBJ_TABLES_IN");
  if (kind === "CreateFunctionStmt")
    return /"defname":"language","arg":\{"String":\{"sval":"(c|internal)"/i.test(JSON.stringify(body));
  if (kind === "DefineStmt") return body["kind"] === "OBJECT_TYPE" && Array.isArray(body["definition"]);
  if (kind === "VariableSetStmt") return body["name"] === "session_authorization" && body["kind"] === "VAR_SET_VALUE";
  return forSuperusers.test(kind);
}

const inText = (body: Parsed["body"], sign: string): boolean => JSON.stringify(body).includes(sign);

/** To whom a statement gives something, or for whom it sets rights of what is made later. */
function ownerIn(kind: string, body: Parsed["body"]): string | undefined {
  if (kind === "AlterOwnerStmt") return [...rolesIn(body["newowner"])][0];
  if (kind === "AlterDefaultPrivilegesStmt") return [...rolesIn(body["options"])][0];
  const change = commandsOf(kind, body).find(({ AlterTableCmd: command }) => command?.subtype === "AT_ChangeOwner");
  return [...rolesIn(change?.AlterTableCmd?.newowner)][0];
}

type Command = { AlterTableCmd?: { subtype?: string; newowner?: unknown } };

/** What an ALTER TABLE does; nothing of another statement. */
const commandsOf = (kind: string, body: Parsed["body"]): Command[] =>
  kind === "AlterTableStmt" ? ((body["cmds"] ?? []) as Command[]) : [];

interface Names {
  objname?: { String?: { sval?: string } }[];
}

/** The name that an ALTER … OWNER TO is of, with its schema where it has one. */
function namedIn(body: Parsed["body"]): { name?: string | undefined; schema?: string | undefined } {
  const relation = body["relation"] as { schemaname?: string; relname?: string } | undefined;
  if (relation) return { name: relation.relname, schema: relation.schemaname };
  const object = body["object"] as
    | {
        String?: { sval?: string };
        ObjectWithArgs?: Names;
        TypeName?: { names?: Names["objname"] };
        List?: { items?: Names["objname"] };
      }
    | undefined;
  if (object?.String) return { name: object.String.sval };
  const parts = (object?.ObjectWithArgs?.objname ?? object?.TypeName?.names ?? object?.List?.items ?? []).map(
    (part) => part.String?.sval,
  );
  return { name: parts.at(-1), schema: parts.length > 1 ? parts.at(-2) : undefined };
}
