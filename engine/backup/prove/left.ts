import { rows } from "../../base/sql";
import type { ConnectionSettings } from "../../connect";
import type { Surroundings } from "../manifest";
import { onScratch, parseStatements } from "./place";
import { printed, useList, type Restorer, type Toc, type TocEntry } from "./toc";
import type { Unproven } from "./types";

/** What is not restored on purpose, though it could be tried. */
export interface LeftOut {
  readonly unproven: readonly Unproven[];
  readonly left: readonly TocEntry[];
}

/**
 * Materialized views stay empty whose queries could ask another server: a restore would run them.
 * @param lacking extensions that the scratch lacks: by them nothing is reached
 */
export function leaveUnfilled({ reach }: Surroundings, toc: Toc, lacking: ReadonlySet<string>): LeftOut {
  if (!reach || reach.by.every((name) => lacking.has(name))) return { unproven: [], left: [] };
  const names = new Map(reach.views.map(({ oid, name }) => [oid, name]));
  const left = toc.entries.filter(({ kind, oid }) => kind === "MATERIALIZED VIEW DATA" && names.has(oid));
  const reason = "it is restored and not filled: its query could reach another server from the scratch";
  const unproven = left.map(({ oid }) => ({ table: `materialized view ${names.get(oid) ?? ""}`, reason }));
  return { unproven, left };
}

/**
 * On a server that is not ours no role is made, so that what is said of roles that it lacks is left out: policies, and how
 * roles log in elsewhere, which holds passwords besides.
 */
export async function leaveForeign(
  around: Surroundings,
  toc: Toc,
  { restorer, dump, settings }: { restorer: Restorer; dump: string; settings: ConnectionSettings },
): Promise<LeftOut> {
  const mappings = toc.entries.filter(({ kind }) => kind === "USER MAPPING");
  const unproven: Unproven[] = [];
  const not = "on a scratch server that is not ours";
  if (mappings.length > 0) unproven.push({ table: "user mappings", reason: `they are not made ${not}` });
  const there = await onScratch(settings, restorer.signal, (client) =>
    rows<{ name: string }>(client, "SELECT rolname AS name FROM pg_catalog.pg_roles"),
  );
  const known = new Set(there.map(({ name }) => name));
  const lacking = new Set(Object.keys(around.facts["role"] ?? {}).filter((name) => !known.has(name)));
  const all = toc.entries.filter(({ kind }) => kind === "POLICY");
  const policies = lacking.size > 0 && all.length > 0 ? await naming(all, lacking, { restorer, dump }) : [];
  if (policies.length > 0) {
    const roles = [...new Set(policies.flatMap((policy) => policy.roles))].sort().join(", ");
    const how = policies.length === 1 ? "one of them names a role" : `${policies.length} of them name roles`;
    unproven.push({ table: "policies", reason: `${how} that the scratch lacks, and none is made there: ${roles}` });
  }
  return { unproven, left: [...mappings, ...policies.map(({ entry }) => entry)] };
}

/** Policies for some of these roles. */
async function naming(
  entries: readonly TocEntry[],
  wanted: ReadonlySet<string>,
  { restorer, dump }: { restorer: Restorer; dump: string },
): Promise<{ entry: TocEntry; roles: string[] }[]> {
  const text = await printed(restorer, dump, [await useList(restorer.folder, "policies", entries)]);
  const found: { entry: TocEntry; roles: string[] }[] = [];
  for (const { stmt } of await parseStatements(text)) {
    const policy = stmt?.CreatePolicyStmt;
    const roles = (policy?.roles ?? []).flatMap(({ RoleSpec: role }) => role?.rolename ?? []);
    const lacking = roles.filter((role) => wanted.has(role));
    // As pg_dump writes the entry: schema, table, policy, without quotes, a line's end as a blank.
    const name = [policy?.table?.schemaname, policy?.table?.relname, policy?.policy_name]
      .join(" ")
      .replace(/[\r\n]/g, " ");
    const entry = entries.find(({ rest }) => rest.startsWith(`${name} `));
    if (entry && lacking.length > 0) found.push({ entry, roles: lacking });
  }
  return found;
}
