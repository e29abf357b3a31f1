import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { GuardianError } from "../../engine/base/errors";

/** The error for files that another user's `npm run db` made, and that this one may not read or write. */
export function notOurs(err: unknown): GuardianError | undefined {
  const { code, path } = err as NodeJS.ErrnoException;
  if ((code !== "EACCES" && code !== "EPERM") || path === undefined) return undefined;
  const owner = ownerOf(path);
  return new GuardianError("server-of-another-user", {
    what: `this clone's database belongs to ${owner ?? "another user"}, and ${userInfo().username} may not use its files`,
    where: `${path} (${code})`,
    todo: [
      `run this as ${owner ?? "that user"}`,
      "use a clone of your own, on another port: npm run db -- start --port N",
    ],
  });
}

/** Who owns the file, or the nearest folder above it that can be looked at. */
function ownerOf(path: string): string | undefined {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { uid } = statSync(at);
      const { status, stdout } = spawnSync("id", ["-un", String(uid)], { encoding: "utf8" });
      return status === 0 ? `user ${stdout.trim()}` : `the user with the id ${uid}`;
    } catch {
      if (at === dirname(at)) return undefined;
    }
  }
}
