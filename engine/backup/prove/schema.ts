import { schemaEntries } from "../../fingerprint/dump";
import { differs, listed } from "./differs";
import { sameMeaning } from "./same";
import { printed, useList, type Restorer, type Toc, type TocEntry } from "./toc";

/** What has rows in it, or is made from them. That a materialized view is filled is told by its REFRESH. */
const data = /^(TABLE DATA|BLOBS|STATISTICS DATA)$/;

export type Definitions = ReturnType<typeof schemaEntries>;

/**
 * All definitions of a dump, and where its sequences stand, as pg_restore would run them.
 * @param left entries that are not restored
 * @param options pg_restore's, as for the restore
 */
export async function definitions(
  restorer: Restorer,
  dump: string,
  toc: Toc,
  options: readonly string[],
  left: ReadonlySet<TocEntry> = new Set(),
): Promise<Definitions> {
  const entries = toc.entries.filter((entry) => !data.test(entry.kind) && !left.has(entry));
  const list = await useList(restorer.folder, "definitions", entries);
  return schemaEntries(await printed(restorer, dump, ["--no-tablespaces", ...options, list]));
}

/**
 * Compares all definitions, both ways.
 * @param isStub whether a definition is of what the copy has in place of an extension's object
 * @throws GuardianError of the comparison, naming what differs
 */
export async function compareDefinitions(
  was: Definitions,
  is: Definitions,
  where: string,
  isStub: (name: string) => boolean,
): Promise<void> {
  const wrong: string[] = [];
  for (const kind of new Set([...Object.keys(was), ...Object.keys(is)])) {
    const [before, after] = [was[kind] ?? {}, is[kind] ?? {}];
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const [one, other] = [before[name], after[name]];
      const what = `${kind} ${name}`;
      if (one === other || isStub(name)) continue;
      if (one === undefined) wrong.push(`${what} is there besides`);
      else if (other === undefined) wrong.push(`${what} is missing`);
      else if (!(await sameMeaning(one, other))) wrong.push(`${what} is another`);
    }
  }
  if (wrong.length > 0) throw differs("compare", `in the restored copy, ${listed(wrong)}`, where);
}
