import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { GuardianError } from "../errors";
import { hash } from "../hash";
import { yamlParser } from "../lazy";
import { meaningOf } from "../module/meaning";
import { sqlFolder } from "../module/manifest";
import { first, type Queryable } from "../sql";

/** A SELECT that yields the target's columns by name; `$1` is the migration's parameters as jsonb. */
export interface Source {
  file: string;
  sql: string;
  /** The relation that must be there for this source to be used; the last source needs none. */
  needs: string | undefined;
}

/** One data migration of sql/data/. */
export interface Migration {
  name: string;
  title: string;
  /** The module whose table it fills. */
  module: string;
  target: string;
  /** Columns that it writes, in order. */
  columns: string[];
  /** A condition on a source row `s`: rows for which it holds are left alone. */
  unless: string;
  sources: Source[];
  /** Hash of what all of it means. */
  meaning: string;
}

const folder = join(sqlFolder, "data");

/** @returns the names of all data migrations */
export function migrationNames(): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/**
 * Reads a data migration.
 * @throws GuardianError naming the file and what is wrong with it
 */
export async function loadMigration(name: string): Promise<Migration> {
  const at = join(folder, name);
  const where = `sql/data/${name}/migration.yaml`;
  if (!/^[a-z_]+$/.test(name) || !existsSync(join(at, "migration.yaml"))) {
    throw new GuardianError({
      what: `there is no data migration ${JSON.stringify(name)}`,
      where,
      todo: `name one of: ${migrationNames().join(", ")}`,
    });
  }
  const yaml = yamlParser().parse(readFileSync(join(at, "migration.yaml"), "utf8")) as Partial<
    Omit<Migration, "sources">
  > & {
    sources?: { file: string; needs?: string }[];
  };
  const { title, module, target, columns, unless, sources } = yaml;
  if (!title || !module || !target || !columns || !unless || !sources?.length) {
    throw new GuardianError({
      what: "title, module, target, columns, unless and sources are all required",
      where,
      todo: "mend the file",
    });
  }
  const read = sources.map((source) => ({
    file: `sql/data/${name}/${source.file}`,
    sql: readFileSync(join(at, source.file), "utf8").trim().replace(/;$/, ""),
    needs: source.needs,
  }));
  const meanings = await Promise.all(read.map((source) => meaningOf(source.file, source.sql)));
  const condition = await meaningOf(where, `SELECT ${unless}`);
  return {
    name,
    title,
    module,
    target,
    columns,
    unless,
    sources: read,
    meaning: hash([module, target, columns, condition, meanings]),
  };
}

/** @returns the first source whose relation this database has */
export async function sourceFor(db: Queryable, migration: Migration): Promise<Source> {
  for (const source of migration.sources) {
    if (!source.needs) return source;
    const there = await first<{ there: boolean }>(db, "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS there", [
      source.needs,
    ]);
    if (there?.there) return source;
  }
  throw new GuardianError({
    what: `none of the sources of the data migration ${migration.name} is in this database`,
    where: migration.sources.map((source) => source.needs).join(", "),
    todo: "see the assessment: is this a v6 database?",
  });
}
