import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { endWith, run, terminal } from "./command";
import { awsPages } from "./docs/aws/page";
import { configurationPages } from "./docs/configuration";
import { errorsPage } from "./docs/errors";
import { gatesPage } from "./docs/gates";
import { examine } from "./docs/generate";
import { hardeningPage } from "./docs/hardening";
import { maskingPage } from "./docs/masking/page";
import { rightsPage } from "./docs/rights";
import { rolesPage, triedRoles } from "./docs/roles";
import { trapsPage } from "./docs/traps";
import { differing, settle } from "./golden";
import { startServer } from "../engine/server/server";
import { createV6 } from "./v6/database";

const command = {
  name: "npm run docs",
  purpose: "writes docs/v7/, docs/*.md and the keys in Pulumi.yaml",
  about: `It migrates a small v6 on a PostgreSQL of its own with the product's engine, and makes the pages from its catalogue and
from what each role may really do there; docs/traps.md and docs/hardening.md from the titles of the tests, docs/configuration.md
and the keys of Pulumi.yaml from config/, docs/errors.md from spec/codes.ts, docs/rights.md from spec/roles.ts, docs/roles.md
from what each of these could do, docs/gates.md from engine/gates, docs/masking.md from sql/masking.yaml, the policies in
docs/aws.md from components/.`,
  options: { check: { about: "write nothing; exit code 1 and the names of the pages that are stale" } },
  exits: { "0": "the pages are written, or current", "1": "pages are stale, or it failed" },
};

const docs = join(__dirname, "..", "docs");

/** @returns the pages by their path below docs/, not yet formatted; beside those of `examine` what is made without a database */
export function allPages(examined: ReadonlyMap<string, string>): Map<string, string> {
  const pages = new Map(examined);
  pages.set("traps.md", trapsPage());
  pages.set("hardening.md", hardeningPage());
  pages.set("errors.md", errorsPage());
  pages.set("rights.md", rightsPage());
  pages.set("gates.md", gatesPage());
  pages.set("masking.md", maskingPage());
  return new Map([...pages, ...configurationPages(), ...awsPages()]);
}

async function makePages(): Promise<Map<string, string>> {
  const server = await startServer({ major: 15, inMemory: true });
  try {
    return allPages((await examine(await createV6(server, "docs", { users: 20 }))).pages);
  } finally {
    await server.stop();
  }
}

/** Formats pages as `npm run lint` wants them. */
export async function formatted(pages: ReadonlyMap<string, string>): Promise<Map<string, string>> {
  const prettier = await import("prettier");
  const all = new Map<string, string>();
  for (const [path, text] of pages) {
    const file = join(docs, path);
    all.set(path, await prettier.format(text, { ...(await prettier.resolveConfig(file)), filepath: file }));
  }
  return all;
}

/** @returns the pages that differ from the files, and the files that are no page any more, sorted */
export function stale(pages: ReadonlyMap<string, string>, folder = docs): string[] {
  return [...differing(pages, folder), ...extra(pages, folder)].sort();
}

function extra(pages: ReadonlyMap<string, string>, folder: string): string[] {
  const there = existsSync(join(folder, "v7")) ? readdirSync(join(folder, "v7")).map((name) => `v7/${name}`) : [];
  return there.filter((path) => !pages.has(path));
}

/** Runs the command; returns the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return run(command, args, terminal, async ({ check }) => {
    // Apart from makePages: what the roles may is tried by a test of its own, and takes as long as all the rest.
    const roles = triedRoles().then((tried) => formatted(new Map([["roles.md", rolesPage(tried)]])));
    const [pages, page] = await Promise.all([makePages().then(formatted), roles]);
    const files = new Map([...pages, ...page]);
    const golden = { command: command.name, folder: docs, files, gone: extra(files, docs) };
    return settle(golden, check, terminal.say);
  });
}

if (require.main === module) endWith(main(process.argv.slice(2)));
