import { pulumiCommand } from "../../../spec";
import { signOffs, type SignOffItem } from "../../../spec/sign-offs";
import { first, type Queryable } from "../../base/sql";
import { readFlags } from "../../flags";
import { standingSince } from "../../ledger/modules";
import { standingTables } from "../../ledger/objects";
import { notApplicable, type Check, type Finding, type Site } from "../check";

/** What is ready before there is anything of v7; the others say how v7 was found to be. */
const beforehand: readonly SignOffItem[] = ["documentation-updated", "support-trained"];

/**
 * What a sign-off comes to: who said it, when and why. What is missing warns, and fails where the stack is strict; so does a
 * day that is still to come, or on which there was nothing of v7 that could be found to be so.
 */
export async function signedOff(item: SignOffItem, { db, declared }: Site): Promise<Finding> {
  const found = declared.signOff[item];
  const verdict = declared.strict ? "failed" : "warned";
  if (found === undefined)
    return {
      verdict,
      evidence: [`nobody has signed off that ${signOffs[item]}`],
      figures: { signedOff: 0 },
      mend: ["by", "on", "note"].map((key) => pulumiCommand(`config set --path guardian:signOff.${item}.${key} …`)),
    };
  const { by, on, note } = found;
  const evidence = [`${by}, ${on}: ${note}`];
  // The day that it is where it is latest: whoever signs may have tomorrow already.
  const server = await first<{ last: string }>(
    db,
    "SELECT ((now() AT TIME ZONE 'UTC') + interval '14 hours')::date::text AS last",
  );
  const since = beforehand.includes(item) ? undefined : await standingSince(db);
  const fault =
    server !== undefined && on > server.last
      ? "that day is still to come"
      : since !== undefined && on < since
        ? "on that day there was nothing of v7 yet"
        : undefined;
  if (fault === undefined) return { verdict: "passed", evidence, figures: { signedOff: 1 } };
  return {
    verdict,
    evidence: [...evidence, fault],
    figures: { signedOff: 0 },
    mend: ["sign off what was found to be so, with the day on which it was"],
  };
}

/** Whether anybody has a feature of v7: a flag is on, for a share of the users or for some by name. */
const someFlagOn = async (db: Queryable): Promise<boolean> =>
  [...(await readFlags(db)).values()].some(
    ({ enabled, rolloutPercentage, enabledForUsers }) =>
      enabled && (rolloutPercentage > 0 || enabledForUsers.length > 0),
  );

/**
 * A check of what only people can say, once v7 is there.
 * @param tried of what users find, of whom nobody can have tried anything while no flag is on
 */
export const signOffCheck = (item: SignOffItem, { tried }: { readonly tried: boolean }): Check => ({
  name: item,
  asks: `whether somebody has signed off that ${signOffs[item]}`,
  cost: "catalogue",
  async run(site) {
    if ((await standingTables(site.db)).length === 0) return notApplicable("no module is applied");
    if (tried && !(await someFlagOn(site.db))) return notApplicable("no flag is on: nobody can have tried it");
    return signedOff(item, site);
  },
  foreseen: (site, { flagOn }) => (tried && !flagOn ? Promise.resolve(undefined) : signedOff(item, site)),
});
