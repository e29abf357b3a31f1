import { v6Tables } from "../../../spec/roles";
import { readNeighbours } from "../../neighbours/findings";
import { some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** Publications, event triggers, inheritance, default rights, who may what: what `assess` tells in every preview. */
export const neighbours: Check = {
  name: "neighbours",
  asks: "what is in this database beside v6 that new tables would meet: publications, event triggers, inheritance, default rights, who is an operator, what reads v7 past its policies",
  cost: "catalogue",
  worse: ["notReady"],
  async run({ db, declared }) {
    const found = await readNeighbours(db, v6Tables, declared);
    const by = (readiness: string) => found.filter((one) => one.readiness === readiness);
    const [bad, warned] = [by("Not ready"), by("Warning")];
    const line = ({ item, status }: (typeof found)[number]): string => `${item}: ${status}`;
    return {
      verdict: bad.length > 0 ? "failed" : warned.length > 0 ? "warned" : "passed",
      evidence: found.length > 0 ? some([...bad, ...warned, ...by("Note")].map(line)) : ["nothing that matters here"],
      figures: { notReady: bad.length, warnings: warned.length },
      // Who accepts that a publication is open accepts no other that takes its place.
      ...faultsNamed("neighbours", bad.map(line)),
      mend: some([...bad, ...warned].map(({ action }) => action)),
    };
  },
};
