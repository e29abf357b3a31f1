import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BackupFolder } from "../../engine/backup/keep/read";
import type { Manifest } from "../../engine/backup/manifest";
import { shown } from "../../engine/base/names";
import { moduleNames, readManifest, sqlFolder } from "../../engine/module/files/manifest";

/** Tables that the modules make, as `schema.table`. */
function v7Tables(): Set<string> {
  const objects = moduleNames().flatMap((name) => {
    const file = join(name, "module.yaml");
    return readManifest(`sql/${file}`, readFileSync(join(sqlFolder, file), "utf8"), name).objects;
  });
  return new Set(objects.flatMap((object) => (object.startsWith("table ") ? [object.slice("table ".length)] : [])));
}

/**
 * What to say of a restored database in which v7 was: no backup holds the ledger, which is of the database that was dumped, so
 * that no stack may go on there.
 * @param folders what there is besides, the oldest first
 * @returns lines; none where nothing of v7 was in it
 */
export function aboutV7(
  manifest: Pick<Manifest, "server" | "ledgerId" | "startedAt" | "tables">,
  folders: readonly BackupFolder[],
  directory: string,
): string[] {
  const made = v7Tables();
  const within = ({ tables }: Pick<Manifest, "tables">): string[] =>
    tables.map(({ schema, table }) => `${schema}.${table}`).filter((name) => made.has(name));
  const [one, ...more] = within(manifest);
  if (one === undefined) return [];
  const { server, ledgerId, startedAt } = manifest;
  const before = folders.findLast(
    ({ state, manifest: other }) =>
      state === "whole" &&
      other?.ledgerId === ledgerId &&
      other.server.systemIdentifier === server.systemIdentifier &&
      other.startedAt < startedAt &&
      within(other).length === 0,
  );
  return [
    `v7 is in it (${one}${more.length > 0 ? ` and ${more.length} more of its tables` : ""}), and its ledger is not, which no backup holds: v7 works as it is, and an up here is refused (objects-exist) and changes nothing`,
    before
      ? `for a stack to migrate here anew, restore the last one from before v7 instead: ${shown(before.name)}; what was written since is in this one (docs/backups.md)`
      : `for a stack to migrate here anew, one from before v7 would have to be restored instead; none is in ${directory} (docs/backups.md)`,
  ];
}
