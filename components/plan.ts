import { readdirSync } from "node:fs";
import { join } from "node:path";
import { stages, type Stage } from "../config";

/** What a stack up to a stage consists of. */
export interface Plan {
  /** The last stage that is wanted. */
  through: Stage;
  /** True for the stages that are wanted. */
  reaches: (stage: Stage) => boolean;
  /** Modules of the infrastructure stage: 000 to 002. */
  infrastructureModules: string[];
  /** Modules of the schema stage: 003 and on. */
  schemaModules: string[];
  dataMigrations: string[];
  flags: readonly string[];
  /** Resources in all, the provider and the stages themselves aside. */
  totalSteps: number;
}

const sql = join(__dirname, "..", "sql");

/** @returns the folders in a folder, in their order */
function folders(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries.map((entry) => entry.name).sort();
}

/** @returns every module that there is, in the order in which they are applied */
export const allModules = (): string[] => folders(sql).filter((name) => /^\d{3}_/.test(name));

/** Reads from sql/ what there is to do: a new module or data migration is a new folder and nothing else. */
export function planThrough(through: Stage, flags: readonly string[]): Plan {
  const reaches = (stage: Stage): boolean => stages.indexOf(stage) <= stages.indexOf(through);
  const modules = allModules();
  const infrastructureModules = modules.filter((name) => name < "003");
  const schemaModules = reaches("schema") ? modules.filter((name) => name >= "003") : [];
  const dataMigrations = reaches("data") ? folders(join(sql, "data")) : [];
  const wantedFlags = reaches("deployment") ? flags : [];
  const fixed = 4; // Ledger, Backup, the gate before, MigrationSession
  const gates = stages.slice(1).filter(reaches);
  const completion = reaches("deployment") ? 1 : 0;
  const lists = [infrastructureModules, schemaModules, dataMigrations, wantedFlags, gates];
  const totalSteps = lists.reduce((sum, list) => sum + list.length, fixed + completion);
  return { through, reaches, infrastructureModules, schemaModules, dataMigrations, flags: wantedFlags, totalSteps };
}
