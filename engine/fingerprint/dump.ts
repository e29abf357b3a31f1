import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { GuardianError } from "../base/errors";

/** Where pg_dump is and how it reaches the database. */
export interface DumpTool {
  /** Path of a pg_dump that is not older than the server. */
  pgDump: string;
  /** libpq's variables: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE … Those of our own process do not count. */
  env: Record<string, string>;
}

const run = promisify(execFile);

/**
 * The schema as pg_dump sees it in the given snapshot, as entries "TYPE schema.name" → definition.
 *
 * @throws GuardianError with pg_dump's first line of complaint; a schema dump's complaints name objects, not rows.
 */
export async function readSchema(
  tool: DumpTool,
  snapshot: string,
  aside: readonly string[],
): Promise<Record<string, Record<string, string>>> {
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("PG"));
  const exclude = aside.map((schema) => `--exclude-schema="${schema.replaceAll('"', '""')}"`);
  const args = [
    "--schema-only",
    "--no-password",
    "--encoding=UTF8",
    "--lock-wait-timeout=30s",
    `--snapshot=${snapshot}`,
  ];
  try {
    const { stdout } = await run(tool.pgDump, [...args, ...exclude], {
      env: { ...Object.fromEntries(inherited), ...tool.env },
      maxBuffer: 512 * 1024 * 1024,
    });
    return schemaEntries(stdout);
  } catch (err) {
    const said = (err as { stderr?: string }).stderr?.split("\n")[0];
    throw new GuardianError("measurement-failed", {
      what: said ? `pg_dump failed: ${said}` : "pg_dump could not be run",
      where: `${tool.pgDump}, schema dump for a fingerprint`,
      todo: "use a pg_dump that is not older than the server, and a user who may read every table",
      cause: err instanceof Error && !said ? err.message : undefined,
    });
  }
}

const header = /^-- Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)$/;

/**
 * Cuts a dump into its entries. What stands before the first one (versions, session settings, the random \restrict key)
 * says nothing about the database, and `SET default_…` between entries depends on their order only. GRANT and REVOKE lines are
 * sorted, since their order is that of their making.
 */
export function schemaEntries(dump: string): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string[]>> = {};
  let lines: string[] | undefined;
  let rights = false;
  const done: (() => void)[] = [];
  for (const line of dump.split("\n")) {
    const [, name, type, schema, owner] = header.exec(line) ?? [];
    if (name !== undefined && type !== undefined && schema !== undefined && owner !== undefined) {
      const current: string[] = [];
      lines = current;
      rights = type.endsWith("ACL");
      const sorted = rights;
      const key = schema === "-" ? name : `${schema}.${name}`;
      done.push(() => {
        const text = [`owner ${owner}`, ...(sorted ? current.sort() : current)].join("\n");
        ((found[type] ??= {})[key] ??= []).push(text);
      });
    } else if (lines && line !== "" && line !== "--" && !/^(SET default_|\\(un)?restrict )/.test(line)) {
      lines.push(line);
    }
  }
  done.forEach((close) => close());
  const joined = Object.entries(found).map(([type, named]) => [
    type,
    Object.fromEntries(Object.entries(named).map(([key, texts]) => [key, texts.sort().join("\n")])),
  ]);
  return Object.fromEntries(joined) as Record<string, Record<string, string>>;
}
