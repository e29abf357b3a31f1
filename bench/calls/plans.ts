import type { Client } from "pg";
import { GuardianError } from "../../engine/base/errors";
import { become, names, statements, timed, type Call, type Name, type Person } from "./statements";

/** A node of a plan as EXPLAIN (FORMAT JSON) has it (manual, 14.1). */
interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  Plans?: Plan[];
}

const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];

/**
 * Explains what really runs, statements inside functions included (manual, F.4 auto_explain), ten times each, since a
 * prepared statement may get another plan after five (manual, PREPARE).
 * @throws GuardianError naming a call whose plan reads its whole table
 */
export async function assertIndexes(
  admin: Client,
  people: readonly Person[],
  say: (line: string) => void,
): Promise<void> {
  let found: Plan[] = [];
  admin.on("notice", ({ message = "" }) => {
    const at = message.indexOf("{");
    if (/^duration: .* plan:/.test(message)) {
      found.push(...flat((JSON.parse(message.slice(at)) as { Plan: Plan }).Plan));
    }
  });
  await admin.query(`
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_format = json; SET client_min_messages = log`);
  const explained = async (name: Name): Promise<{ indexes: string[]; whole: boolean }> => {
    const table = (statements[name] as Call).reads?.table;
    found = [];
    for (const person of people.slice(0, 10)) {
      await become(admin, person);
      await timed(admin, name, person);
    }
    const scans = found.filter((plan) => plan["Node Type"] !== "ModifyTable" && plan["Relation Name"] === table);
    const bitmap = found.filter((plan) => plan["Node Type"] === "Bitmap Index Scan");
    const indexes = [...new Set([...scans, ...bitmap].flatMap((plan) => plan["Index Name"] ?? []))];
    return { indexes, whole: scans.length < 10 || scans.some((plan) => plan["Node Type"] === "Seq Scan") };
  };
  for (const name of names) {
    const { reads }: Call = statements[name];
    if (!reads) continue;
    // A page read whole is cheaper than an index on it: for such a table the plan is asked for that it has when it grows.
    await admin.query(`SET enable_seqscan = ${reads.small ? "off" : "on"}; DISCARD PLANS`);
    const { indexes, whole } = await explained(name);
    if (whole || indexes.length === 0) {
      throw new GuardianError("measurement-failed", {
        what: `the plan of ${name} uses no index of ${reads.table}`,
        where: "npm run bench -- calls",
        todo: "give its condition an index, or mend the one it has",
      });
    }
    say(`${name} uses ${indexes.join(", ")}`);
  }
}
