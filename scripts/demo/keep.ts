import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { databaseName } from "./database";
import { stack, type Place } from "./place";

/** For sh: in quotes, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * Writes what is needed to go on with a demo that is left running.
 *
 * @param port of the server. @param pid its process
 * @returns lines that say how to connect, what to try and how to stop it
 */
export function keep(place: Place, port: number, pid: number, password: string): string[] {
  const [service, passfile, env, stop] = ["service.conf", "passfile", "env", "stop"].map((name) =>
    join(place.folder, name),
  ) as [string, string, string, string];
  const write = (file: string, text: string): void => writeFileSync(file, text, { mode: 0o600 });
  write(passfile, `127.0.0.1:${port}:*:*:${password}\n`);
  const target = `host=127.0.0.1\nport=${port}\ndbname=${databaseName}\nuser=guardian_migrator\npassfile=${passfile}\n`;
  write(service, `[guardian]\n${target}`);
  const variables = { PGSERVICEFILE: service, PGSERVICE: "guardian", ...place.variables, DEMO: place.project };
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  write(env, lines.join(""));
  write(stop, stopScript(place.folder, pid));
  const pulumi = 'npm run pulumi -- -C "$DEMO"';
  return [
    `It is left running: PostgreSQL on 127.0.0.1:${port} (process ${pid}), rolled back, with archive and ledger.`,
    "",
    `  in every shell   . ${quoted(env)}`,
    "  look around      psql",
    `  migrate again    ${pulumi} up          (the archived rows come back)`,
    `  one stage less   ${pulumi} config set guardian:through data, then up`,
    `  a flag for all   ${pulumi} config set --path guardian:rollout.enhanced_consent 100, then up`,
    `  change by hand   psql -c 'DROP INDEX public.patient_consents_due_idx', then ${pulumi} preview`,
    `  roll back        ${pulumi} destroy`,
    `  purge            npm run purge -- -C "$DEMO" --stack ${stack}`,
    `  stop and remove  sh ${quoted(stop)}`,
  ];
}

/** Stops the server if that process still is it, and removes the folder. */
function stopScript(folder: string, pid: number): string {
  return `# Stops the demo's PostgreSQL and removes everything of the demo.
folder=${quoted(folder)}
case $(ps -ww -o command= -p ${pid}) in
  *"$folder"*) kill -INT ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done ;;
esac
rm -rf "$folder"
`;
}
