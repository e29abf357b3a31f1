import { modulesOnV6 } from "../../ledger/modules";
import { notApplicable, type Check } from "../check";
import { askAll, judged, worse } from "./endpoints";
import { signedOff } from "./sign-off";

/** Guide 6.1, "API Functionality": asked before the migration and after it. */
export const apiEndpoints: Check = {
  name: "api-endpoints",
  asks: "whether every endpoint that the stack names answers with its status; where it names none, whether somebody signed that off",
  cost: "queries",
  outside: true,
  worse,
  baseline: true,
  async run(site) {
    const { endpoints } = site.declared;
    if (endpoints.length > 0) return judged(await askAll(site, endpoints), "api-endpoints", site);
    // That they respond as they did before, nobody can say yet.
    if ((await modulesOnV6(site.db)).length === 0)
      return notApplicable("no endpoint is named, and nothing of v7 touches v6 yet");
    return signedOff("api-endpoints", site);
  },
  foreseen: (site) =>
    site.declared.endpoints.length > 0 ? Promise.resolve(undefined) : signedOff("api-endpoints", site),
};
