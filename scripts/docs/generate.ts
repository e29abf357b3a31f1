import type { Client } from "pg";
import type { Module } from "../../engine/module/files/manifest";
import { withClient, type Logins } from "../v6/database";
import { applyAll } from "../v6/operator";
import { readBounds, type Bounds } from "./bounds";
import { boundsPage } from "./bounds-page";
import { markable } from "./erasure";
import { erasurePage } from "./erasure/page";
import { describeModule, foreignKeys, listed, type Key } from "./catalogue";
import { tryAll, type Matrix } from "./matrix";
import { indexPage, modulePage, permissionsPage } from "./pages";
import { permittedText } from "./permitted";
import { addPeople, people, seed } from "./specimens";

/** What a migrated database says of itself. */
export interface Findings {
  modules: Module[];
  keys: Key[];
  matrix: Matrix;
  bounds: Bounds;
  /** Pages by their path below docs/, not yet formatted. */
  pages: Map<string, string>;
}

/**
 * Migrates a v6 that is thrown away afterwards, and reads the pages off it.
 * @param applied all modules, where they are there already
 */
export async function examine(logins: Logins, applied?: Module[]): Promise<Findings> {
  const modules = applied ?? (await applyAll(logins.migrator));
  const tables = listed(modules, "table");
  return withClient(logins.admin, async (admin) => {
    await admin.query("SET search_path = ''");
    const keys = await foreignKeys(admin, tables);
    const pages = new Map([["v7/README.md", indexPage(modules, keys)]]);
    const bounds = await readBounds(admin, tables);
    pages.set("bounds.md", boundsPage(bounds));
    pages.set("erasure.md", erasurePage(keys, await markable(admin, tables)));
    for (const module of modules) pages.set(`v7/${module.name}.md`, modulePage(await describeModule(admin, module)));
    await addSpecimens(admin, modules);
    const matrix = await tryModules(admin, modules);
    pages.set("permissions.md", permissionsPage(modules, matrix));
    pages.set("../sql/permissions.json", await permittedText(admin, modules));
    return { modules, keys, matrix, bounds, pages };
  });
}

/** The people of the matrix, and rows in the modules' tables. @throws the server's errors */
export async function addSpecimens(admin: Client, modules: readonly Module[]): Promise<void> {
  await addPeople(admin, [people.owner]);
  const tables = listed(modules, "table");
  await seed(admin, tables, (_table, column) => (column === "granted_to" ? people.provider : people.owner));
}

/** As tryAll, for everything that modules list. The people and their specimens must be there. */
export function tryModules(admin: Client, modules: readonly Module[]): Promise<Matrix> {
  return tryAll(admin, listed(modules, "table"), listed(modules, "view"), listed(modules, "function"));
}
