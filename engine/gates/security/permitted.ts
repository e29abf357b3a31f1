import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sqlFolder } from "../../module/files/folder";

/**
 * By object, as module.yaml names it, then by role (PUBLIC among them), then by privilege: true, or the columns that it is
 * given on. The owner is not in it.
 */
export type Permitted = Record<string, Record<string, Record<string, true | string[]>>>;

let read: Permitted | undefined;

/** @returns what the modules of this release give to whom: sql/permissions.json, which `npm run docs` makes with docs/permissions.md */
const permitted = (): Permitted =>
  (read ??= JSON.parse(readFileSync(join(sqlFolder, "permissions.json"), "utf8")) as Permitted);

/** @returns whether a role, or everybody, is given a privilege on an object, or on one column of it */
export function isPermitted(object: string, role: string, privilege: string, column?: string): boolean {
  return [role, "PUBLIC"].some((who) => {
    const given = permitted()[object]?.[who]?.[privilege];
    return given === true || (given !== undefined && column !== undefined && given.includes(column));
  });
}

/** @returns whether a role may read an object, or any column of it */
export const mayRead = (object: string, role: string): boolean =>
  [role, "PUBLIC"].some((who) => permitted()[object]?.[who]?.["SELECT"] !== undefined);
