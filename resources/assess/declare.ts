import * as pulumi from "@pulumi/pulumi";
import { assessSpec } from "./spec";

/** One finding of the assessment. */
interface Finding {
  item: string;
  status: string;
  readiness: string;
  action: string;
}

interface Assessment {
  server: string;
  items: Finding[];
}

interface Told {
  severity: "warn" | "info";
  text: string;
}

/**
 * The guide's assessment (guide 1.1), in preview already. What it has to tell the program tells: its connection to the engine
 * is open, the plugin's own would be made for this alone.
 * @param args all modules, data migrations and flags that the program declares, and names of publications that new tables may join
 * @throws pulumi.RunError for a database that is not a Guardian v6; Pulumi shows it without a stack trace
 */
export async function assess(
  args: {
    modules: readonly string[];
    migrations: readonly string[];
    flags: readonly string[];
    accepted: readonly string[];
    operators: readonly string[];
  },
  options: pulumi.InvokeOptions,
): Promise<Assessment> {
  try {
    const answer = (await pulumi.runtime.invoke(assessSpec.token, args, options)) as Assessment & { told: Told[] };
    const { told, ...assessment } = answer;
    for (const { severity, text } of told) await pulumi.log[severity](text);
    return assessment;
  } catch (err) {
    throw new pulumi.RunError(
      err instanceof Error ? err.message.replace(/^invocation of .* returned an error: /, "") : String(err),
    );
  }
}
