import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

const folder = join(__dirname, "..", "..", "sql");

/** Every module, in the order in which they go up. */
export const modules: readonly string[] = readdirSync(folder)
  .filter((name) => /^\d{3}_/.test(name))
  .sort();

/** What modules list of one kind in module.yaml, all of them by default. */
export const listed = (kind: string, names: readonly string[] = modules): string[] =>
  names.flatMap((name) => {
    const text = readFileSync(join(folder, name, "module.yaml"), "utf8");
    return (parse(text) as { objects: Record<string, string[] | undefined> }).objects[kind] ?? [];
  });

/** The tables that wait in the archive after a rollback, with the column that says whose rows they are. */
export const archives = (): { table: string; subject: string }[] =>
  modules.flatMap((name) => {
    const text = readFileSync(join(folder, name, "module.yaml"), "utf8");
    return (parse(text) as { archive?: { table: string; subject: string }[] }).archive ?? [];
  });

/** The verify.sql of a module. */
export const verifyOf = (name: string): string => readFileSync(join(folder, name, "verify.sql"), "utf8");
