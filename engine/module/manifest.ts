import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { GuardianError } from "../errors";
import { hash } from "../hash";
import { yamlParser } from "../lazy";
import { sqlFolder } from "./folder";
import { meaningOf, meaningOfFiles } from "./meaning";
import { readUp, type SqlFile } from "./up-files";

/** Kinds of catalogue objects that a module may create, in the order in which they are listed. */
export const objectKinds = ["table", "view", "sequence", "type", "function", "index", "trigger", "policy"] as const;
export type ObjectKind = (typeof objectKinds)[number];

export interface ArchivedTable {
  table: string;
  /** The column that holds the person, or undefined where rows outlive the person (audit). */
  subject: string | undefined;
}

/** module.yaml, read and checked. */
export interface Manifest {
  name: string;
  title: string;
  requires: string[];
  /** v6 relations that its foreign keys and triggers lock. */
  locks: string[];
  /** Everything that it creates in the catalogue: `table public.a`, `policy p on public.a`. */
  objects: string[];
  archive: ArchivedTable[];
}

/** A module as it stands in sql/. */
export interface Module extends Manifest {
  /** up.sql, or the files of up/ in order. */
  up: SqlFile[];
  down: string;
  verify: string;
  /** CREATE INDEX CONCURRENTLY statements, empty for most modules. */
  indexes: string;
  /** Hash of what up.sql (or up/), indexes.sql and module.yaml mean. */
  meaning: string;
  downMeaning: string;
  verifyMeaning: string;
}

export { sqlFolder } from "./folder";

/** @returns the names of all modules, in the order in which they are applied */
export function moduleNames(folder = sqlFolder): string[] {
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders
    .map((entry) => entry.name)
    .filter((name) => /^\d{3}_/.test(name))
    .sort();
}

/**
 * Reads a module.
 * @throws GuardianError naming the file and what is wrong with it
 */
export async function loadModule(name: string, folder = sqlFolder): Promise<Module> {
  const at = join(folder, name);
  const shown = (file: string): string => relative(join(folder, ".."), join(at, file));
  if (!/^\d{3}_[a-z0-9_]+$/.test(name) || !existsSync(join(at, "module.yaml"))) {
    throw new GuardianError({
      what: `there is no module ${JSON.stringify(name)}`,
      where: shown("module.yaml"),
      todo: `name one of: ${moduleNames(folder).join(", ")}`,
    });
  }
  const manifest = readManifest(shown("module.yaml"), readFileSync(join(at, "module.yaml"), "utf8"), name);
  const read = (file: string): string => {
    if (existsSync(join(at, file))) return readFileSync(join(at, file), "utf8");
    throw new GuardianError({ what: "a module's file is missing", where: shown(file), todo: "put it back" });
  };
  const up = readUp(at, shown);
  const [down, verify] = [read("down.sql"), read("verify.sql")];
  const indexes = existsSync(join(at, "indexes.sql")) ? read("indexes.sql") : "";
  const upMeaning = await meaningOfFiles(up);
  const indexMeaning = await meaningOf(shown("indexes.sql"), indexes);
  return {
    ...manifest,
    up,
    down,
    verify,
    indexes,
    meaning: hash([{ ...manifest, title: undefined }, upMeaning, indexMeaning]),
    downMeaning: await meaningOf(shown("down.sql"), down),
    verifyMeaning: await meaningOf(shown("verify.sql"), verify),
  };
}

/** Reads and checks module.yaml. */
export function readManifest(file: string, text: string, name: string): Manifest {
  const bad = (what: string): GuardianError => new GuardianError({ what, where: file, todo: "mend the file" });
  let yaml: unknown;
  try {
    yaml = yamlParser().parse(text);
  } catch (err) {
    throw bad(`not valid YAML: ${err instanceof Error ? err.message : String(err)}`);
  }
  if (!isObject(yaml)) throw bad("not a mapping");
  const known = ["name", "title", "requires", "locks", "objects", "archive"];
  const unknown = Object.keys(yaml).find((key) => !known.includes(key));
  if (unknown) throw bad(`unknown key ${unknown}; known are ${known.join(", ")}`);
  if (yaml["name"] !== name) throw bad(`name must be the folder's, ${name}`);
  if (typeof yaml["title"] !== "string") throw bad("title is missing");
  const strings = (value: unknown, key: string): string[] => {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw bad(`${key} must be a list of strings`);
  };
  const given = yaml["objects"] ?? {};
  if (!isObject(given)) throw bad("objects must be a mapping of kinds to lists");
  const stranger = Object.keys(given).find((kind) => !objectKinds.includes(kind as ObjectKind));
  if (stranger) throw bad(`unknown kind of object ${stranger}; known are ${objectKinds.join(", ")}`);
  const objects = objectKinds.flatMap((kind) => strings(given[kind], `objects.${kind}`).map((id) => `${kind} ${id}`));
  const archive = (Array.isArray(yaml["archive"]) ? yaml["archive"] : []).map((item: unknown): ArchivedTable => {
    if (!isObject(item) || typeof item["table"] !== "string" || typeof item["subject"] !== "string") {
      throw bad("each entry of archive needs table and subject (a column, or none)");
    }
    if (!objects.includes(`table ${item["table"]}`)) throw bad(`archive names ${item["table"]}, not one of its tables`);
    return { table: item["table"], subject: item["subject"] === "none" ? undefined : item["subject"] };
  });
  return {
    name,
    title: yaml["title"],
    requires: strings(yaml["requires"], "requires"),
    locks: strings(yaml["locks"], "locks").sort(),
    objects,
    archive,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
