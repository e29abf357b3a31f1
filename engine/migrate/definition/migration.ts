import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { GuardianError } from "../../base/errors";
import { hash } from "../../base/hash";
import { meaningOf } from "../../module/files/meaning";
import { sqlFolder } from "../../module/files/manifest";
import { readYaml } from "../../base/yaml";
import { definition, type Definition, type Follow } from "./shape";
import { placeholders } from "./range";

export type { Follow } from "./shape";

/**
 * A SELECT that yields the target's columns by name. `$1` is the migration's parameters as jsonb, with `asOf`, the time
 * at which the migration began; `in_range(a, …)` stands where the engine binds the key of every joined relation.
 */
export interface Source {
  file: string;
  sql: string;
  /** The relation that must be there for this source to be used; the last source needs none. */
  needs: string | undefined;
  /** A SELECT of one row, read once when the migration begins; its columns are in `$1` by their names. */
  constants: { file: string; sql: string } | undefined;
  /** Boolean columns that it yields besides: the comparison counts them, for instance what was repaired. */
  counts: string[];
  /**
   * A text column that it yields besides: why a row is left out on purpose, in words, or NULL. Such rows are no loss; they
   * are counted by their reason.
   */
  leftOut: string | undefined;
  follows: Follow[];
}

/** One data migration of sql/data/. */
export interface Migration extends Omit<Definition, "sources"> {
  name: string;
  sources: Source[];
  /** Hash of what all of it means; what only sets the pace is not in it. */
  meaning: string;
}

/** @returns the v6 tables that are locked for a moment when the migration begins, and when it ends */
export function followed(follows: readonly Follow[]): string[] {
  return [...new Set(follows.map((follow) => follow.table))].sort();
}

const own = join(sqlFolder, "data");

/** Of guardian_follow_…_truncate PostgreSQL keeps 63 bytes (manual, 4.1.1): longer ones would be one and the same. */
const longest = 63 - "guardian_follow__truncate".length;

/** @returns the names of all data migrations */
export function migrationNames(folder = own): string[] {
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
export async function loadMigration(name: string, folder = own): Promise<Migration> {
  const at = join(folder, name);
  const where = `sql/data/${name}/migration.yaml`;
  if (!/^[a-z_]+$/.test(name) || !existsSync(join(at, "migration.yaml"))) {
    throw new GuardianError("name-unknown", {
      what: `there is no data migration ${JSON.stringify(name)}`,
      where,
      todo: `name one of: ${migrationNames(folder).join(", ")}`,
    });
  }
  if (name.length > longest) {
    throw new GuardianError("file-invalid", {
      what: `a data migration's name has ${longest} letters at most: with it the names of its triggers have 63`,
      where,
      todo: "give its folder a shorter name",
    });
  }
  const written = readYaml(where, readFileSync(join(at, "migration.yaml"), "utf8"), definition);
  const { module, from, key, target, targetKey, columns, match } = written;
  const read = (file: string): { file: string; sql: string } => {
    const shown = `sql/data/${name}/${file}`;
    if (existsSync(join(at, file)))
      return { file: shown, sql: readFileSync(join(at, file), "utf8").trim().replace(/;$/, "") };
    throw new GuardianError("file-invalid", {
      what: "a file that migration.yaml names is missing",
      where: shown,
      todo: "put it back, or mend its name in migration.yaml",
    });
  };
  const sources = written.sources.map(({ file, needs, constants, counts, leftOut, follows }) => ({
    ...read(file),
    needs,
    constants: constants === undefined ? undefined : read(constants),
    counts,
    leftOut,
    follows,
  }));
  for (const source of sources) {
    const sizes = placeholders(source.sql);
    if (sizes.length > 0 && sizes.every((size) => size === key.length)) continue;
    const what = `in_range(…) must stand in the source, with as many columns as the key: ${key.join(", ")}`;
    throw new GuardianError("sql-invalid", {
      what,
      where: source.file,
      todo: "bind the key of every relation that it reads",
    });
  }
  const files = sources.flatMap((source) => (source.constants ? [source, source.constants] : [source]));
  const meanings = await Promise.all(files.map(({ file, sql }) => meaningOf(file, sql)));
  const follows = sources.map((source) => [source.needs ?? "", source.follows]);
  return {
    ...written,
    name,
    sources,
    meaning: hash([module, from, key, target, targetKey, columns, match, meanings, follows]),
  };
}
