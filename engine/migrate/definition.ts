import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { GuardianError } from "../errors";
import { hash } from "../hash";
import { yamlParser } from "../lazy";
import { meaningOf } from "../module/meaning";
import { sqlFolder } from "../module/manifest";
import { placeholders } from "./range";

/** A v6 table whose changes reach the target while the migration runs. */
export interface Follow {
  table: string;
  /** Its columns that hold the migration's key, in the key's order. */
  key: string[];
  /** Columns that the source reads besides. */
  columns: string[];
}

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
  follows: Follow[];
}

/** One data migration of sql/data/. */
export interface Migration {
  name: string;
  title: string;
  /** The module whose table it fills. */
  module: string;
  /** The table whose keys are walked, and its key: unique, not null, ordered. */
  from: string;
  key: string[];
  target: string;
  /** The target's columns that hold the key. */
  targetKey: string[];
  /** Columns that it writes, in order. */
  columns: string[];
  /** A row of the target that agrees in these columns is left alone, whatever else it says. */
  match: string[];
  /** How long one batch should take, in milliseconds. */
  batchMs: number;
  /** How many connections may move rows at once, where the server has room. */
  workers: number;
  /** By how much the application may become slower, 0.1 for 10 %. */
  slowdown: number;
  sources: Source[];
  /** Hash of what all of it means; what only sets the pace is not in it. */
  meaning: string;
}

/** @returns the v6 tables that are locked for a moment when the migration begins, and when it ends */
export function followed(follows: readonly Follow[]): string[] {
  return [...new Set(follows.map((follow) => follow.table))].sort();
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

type Yaml = Partial<Omit<Migration, "sources" | "name" | "meaning">> & {
  sources?: { file: string; needs?: string; constants?: string; counts?: string[]; follows?: Follow[] }[];
};

const required = ["title", "module", "from", "key", "target", "targetKey", "columns", "match", "sources"] as const;

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
  const yaml = yamlParser().parse(readFileSync(join(at, "migration.yaml"), "utf8")) as Yaml;
  const bad = complaint(yaml);
  if (bad) throw new GuardianError({ what: bad, where, todo: "mend the file" });
  const { title, module, from, key, target, targetKey, columns, match, ...rest } = yaml as Yaml &
    Required<Pick<Yaml, (typeof required)[number]>>;
  const read = (file: string): { file: string; sql: string } => ({
    file: `sql/data/${name}/${file}`,
    sql: readFileSync(join(at, file), "utf8").trim().replace(/;$/, ""),
  });
  const sources = rest.sources.map((source) => ({
    ...read(source.file),
    needs: source.needs,
    constants: source.constants === undefined ? undefined : read(source.constants),
    counts: source.counts ?? [],
    follows: source.follows ?? [],
  }));
  for (const source of sources) {
    const sizes = placeholders(source.sql);
    if (sizes.length > 0 && sizes.every((size) => size === key.length)) continue;
    const what = `in_range(…) must stand in the source, with as many columns as the key: ${key.join(", ")}`;
    throw new GuardianError({ what, where: source.file, todo: "bind the key of every relation that it reads" });
  }
  const files = sources.flatMap((source) => (source.constants ? [source, source.constants] : [source]));
  const meanings = await Promise.all(files.map(({ file, sql }) => meaningOf(file, sql)));
  const follows = sources.map((source) => [source.needs ?? "", source.follows]);
  return {
    ...{ name, title, module, from, key, target, targetKey, columns, match, sources },
    batchMs: rest.batchMs ?? 300,
    workers: rest.workers ?? 2,
    slowdown: rest.slowdown ?? 0.1,
    meaning: hash([module, from, key, target, targetKey, columns, match, meanings, follows]),
  };
}

/** What is wrong with the file, in a sentence. */
function complaint(yaml: Yaml): string | undefined {
  const missing = required.filter((name) => yaml[name] === undefined || yaml[name].length === 0);
  if (missing.length > 0) return `missing: ${missing.join(", ")}`;
  const { key = [], targetKey = [], columns = [], match = [], sources = [], batchMs = 300, workers = 2 } = yaml;
  if (key.length !== targetKey.length) return "key and targetKey must have as many columns";
  const outside = [...targetKey, ...match].filter((column) => !columns.includes(column));
  if (outside.length > 0) return `in targetKey or match, but not in columns: ${outside.join(", ")}`;
  if (targetKey.some((column) => !match.includes(column))) return "every column of targetKey must be in match";
  if (!(batchMs >= 10 && batchMs <= 1000)) return "batchMs must be 10 to 1000 milliseconds";
  if (!(Number.isInteger(workers) && workers >= 1 && workers <= 8)) return "workers must be 1 to 8";
  const crooked = sources.flatMap((source) => source.follows ?? []).find((f) => f.key.length !== key.length);
  return crooked && `follows ${crooked.table}: its key must have as many columns as the migration's`;
}
