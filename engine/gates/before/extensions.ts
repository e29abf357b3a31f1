import { extensions as readExtensions } from "../../assess";
import { some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** Guide 1.1, "Database Extensions": what `operations` asks again at the end, when all of v7 is there. */
export const extensions: Check = {
  name: "extensions",
  asks: "whether the extensions that v6's own defaults call are installed",
  cost: "catalogue",
  worse: ["missing"],
  async run({ db }) {
    const found = await readExtensions(db);
    const missing = found.filter(({ readiness }) => readiness !== "Ready");
    return {
      verdict: missing.length > 0 ? "failed" : "passed",
      evidence: some((missing.length > 0 ? missing : found).map(({ status }) => status)),
      figures: { wanted: found.length, missing: missing.length },
      ...faultsNamed(
        "extensions",
        missing.map(({ status }) => status),
      ),
      ...(missing.length > 0 ? { mend: some(missing.map(({ action }) => action)) } : {}),
    };
  },
};
