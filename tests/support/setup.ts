import "../../scripts/pulumi/sparing"; // before any test loads Pulumi's SDK
import "./skip"; // every worker tells why it skipped
import { clientFolder } from "../../scripts/pg-clients";
import { leave } from "./cpu";
import { major } from "./major";
import { stopServers } from "./server";

// What a gate times in this process is not what is tested, but where a test says otherwise.
process.env["GUARDIAN_QUERY_TURNS"] ??= "1";

// A worker's server ends after it; where one process runs all, it waits for its server.
if (process.env["MOCHA_WORKER_ID"] !== undefined) leave();

/** Before all tests: no test is skipped for want of pg_dump, so the run ends here without it. @throws GuardianError */
export async function mochaGlobalSetup(): Promise<void> {
  await clientFolder(major);
}

/** After all tests of this process; a worker's servers end with it. */
export const mochaGlobalTeardown = stopServers;
