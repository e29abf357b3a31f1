import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { GuardianError } from "../../base/errors";
import { hash } from "../../base/hash";
import { remembered } from "../../base/remembered";
import { readYaml } from "../../base/yaml";
import { sqlFolder } from "./folder";
import { refuseDown } from "./down";
import { manifestOf, newManifestOf, objectKinds } from "./manifest-shape";
import { meaningOf, meaningOfFiles } from "./meaning";
import { parseFile, parseFiles } from "./statements";
import { readUp, type SqlFile } from "./up-files";
import { refuseLasting, refuseLosses, refuseWrites } from "./writes";

export interface ArchivedTable {
  table: string;
  /** The column that holds the person, or undefined where rows outlive the person (audit). */
  subject: string | undefined;
  /**
   * Triggers that only check a row, as a CHECK does: they stay on while rows come back, all others are off. Absent where
   * there is none, so that a module without them means what it meant before there were any.
   */
  checks?: string[];
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
  /** module.yaml as it stands there. */
  yaml: string;
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

/** @returns what module.yaml says of every module, in the order in which they are applied @throws GuardianError as readManifest */
export const readManifests = (folder = sqlFolder): Manifest[] =>
  moduleNames(folder).map((name) => {
    const text = readFileSync(join(folder, name, "module.yaml"), "utf8");
    return readManifest(`sql/${name}/module.yaml`, text, name);
  });

/**
 * Reads a module.
 * @throws GuardianError naming the file and what is wrong with it
 */
export async function loadModule(name: string, folder = sqlFolder): Promise<Module> {
  const at = join(folder, name);
  const shown = (file: string): string => relative(join(folder, ".."), join(at, file));
  if (!/^\d{3}_[a-z0-9_]+$/.test(name) || !existsSync(join(at, "module.yaml"))) {
    throw new GuardianError("name-unknown", {
      what: `there is no module ${JSON.stringify(name)}`,
      where: shown("module.yaml"),
      todo: `name one of: ${moduleNames(folder).join(", ")}`,
    });
  }
  const yaml = readFileSync(join(at, "module.yaml"), "utf8");
  const manifest = readManifest(shown("module.yaml"), yaml, name);
  const read = (file: string): string => {
    if (existsSync(join(at, file))) return readFileSync(join(at, file), "utf8");
    throw new GuardianError("file-invalid", {
      what: "a module's file is missing",
      where: shown(file),
      todo: "put it back",
    });
  };
  const up = readUp(at, shown);
  const [down, verify] = [read("down.sql"), read("verify.sql")];
  const indexes = existsSync(join(at, "indexes.sql")) ? read("indexes.sql") : "";
  const upMeaning = await meaningOfFiles(up);
  const indexMeaning = await meaningOf(shown("indexes.sql"), indexes);
  const verifyMeaning = await meaningOf(shown("verify.sql"), verify);
  const downMeaning = await meaningOf(shown("down.sql"), down);
  await remembered("sound", [manifest, up, indexes, down], async () => {
    const made = await parseFiles([...up, { file: shown("indexes.sql"), text: indexes }]);
    refuseDown(shown("down.sql"), await parseFile(shown("down.sql"), down), made, manifest);
    return "yes";
  });
  return {
    ...manifest,
    yaml,
    up,
    down,
    verify,
    indexes,
    meaning: hash([{ ...manifest, title: undefined }, upMeaning, indexMeaning]),
    downMeaning,
    verifyMeaning,
  };
}

/**
 * Refuses a module that would take from others what no rollback gives back, or whose module.yaml cannot be meant. Asked where
 * it is not applied, and nowhere else: the file of one that stands cannot be mended, and a newer release would stop its stack
 * for good.
 * @throws GuardianError naming every place
 */
export async function refuseHarm({ name, yaml, up, indexes, objects }: Module): Promise<void> {
  await remembered("harmless", [name, yaml, up, indexes, objects], async () => {
    readYaml(`sql/${name}/module.yaml`, yaml, newManifestOf(name));
    const made = await parseFiles([...up, { file: `sql/${name}/indexes.sql`, text: indexes }]);
    refuseWrites(made, objects);
    refuseLosses(made);
    refuseLasting(made, objects);
    return "yes";
  });
}

/** What was read before: one resource's checking, planning and doing, and the backup's, read the same one. */
const manifests = new Map<string, Manifest>();

/**
 * Reads and checks module.yaml.
 * @throws GuardianError with every error in it
 */
export function readManifest(file: string, content: string, name: string): Manifest {
  const key = JSON.stringify([file, content, name]);
  const known = manifests.get(key) ?? parseManifest(file, content, name);
  manifests.set(key, known);
  return structuredClone(known); // whoever gets it may change it
}

function parseManifest(file: string, content: string, name: string): Manifest {
  const { title, requires, locks, objects, archive } = readYaml(file, content, manifestOf(name));
  return {
    name,
    title,
    requires,
    locks: locks.sort(),
    objects: objectKinds.flatMap((kind) => (objects[kind] ?? []).map((id) => `${kind} ${id}`)),
    archive: archive.map(({ table, subject, checks }) => ({
      table,
      subject: subject === "none" ? undefined : subject,
      ...(checks.length > 0 ? { checks: checks.sort() } : {}),
    })),
  };
}
