import { createHash } from "node:crypto";
import { tried } from "./tried";

/** Never the name of a feature: what is switched on in the trial is this one, and no flag's row is locked. */
const flag = "guardian_gate_trial";
const otherFlag = "guardian_gate_trial_2";

/** So many users are asked about; where there are fewer accounts, ids that nobody has stand in for the rest. */
const sample = 1000;

/** A share may be off by so many standard deviations of a fair draw: beyond 5 lies one of 1.7 million. */
const deviations = 5;

/** An id that no account has by chance, always the same. */
const madeUp = (i: number): string =>
  createHash("sha256")
    .update(`guardian gate ${i}`)
    .digest("hex")
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

const within = (few: ReadonlySet<string>, many: ReadonlySet<string>): boolean => [...few].every((id) => many.has(id));

/** Guide 6.2, "Progressive rollout working". The flags' own values are not looked at: a rollout may be at 0 %. */
export const flagShare = tried({
  name: "flag-share",
  asks: "whether a rollout of so many per cent gives a feature to about so many of the users, always the same ones",
  needs: ["public.is_feature_enabled_for_user", "public.my_feature_flags"],
  async run(steps, { account }) {
    const accounts = (
      await steps.ask<{ id: string }>("users are chosen", "server", "SELECT id FROM auth.users ORDER BY id LIMIT $1", [
        sample,
      ])
    ).map(({ id }) => id);
    const users = [...accounts, ...Array.from({ length: sample - accounts.length }, (_, i) => madeUp(i))];
    const [make, change] = [
      "INSERT INTO public.feature_flags (feature_name, description, enabled, rollout_percentage) SELECT f, 'made by a gate, never committed', false, 100 FROM unnest($1::text[]) f",
      "UPDATE public.feature_flags SET enabled = true, rollout_percentage = $2, enabled_for_users = $3 WHERE feature_name = ANY ($1)",
    ];
    const having = async (what: string, of = flag): Promise<Set<string>> =>
      new Set(
        (
          await steps.ask<{ id: string }>(
            what,
            "server",
            "SELECT u AS id FROM unnest($1::uuid[]) u WHERE public.is_feature_enabled_for_user($2, u)",
            [users, of],
          )
        ).map(({ id }) => id),
      );
    const at = async (percentage: number): Promise<Set<string>> => {
      await steps.ask(`the rollout is set to ${percentage} %`, "server", change, [[flag, otherFlag], percentage, []]);
      return having(`who has it at ${percentage} %`);
    };
    await steps.ask("a flag is made", "server", make, [[flag, otherFlag]]);
    steps.hold(
      "a flag that is off is on for nobody, at 100 % too",
      (await having("who has it while it is off")).size === 0,
    );
    steps.hold("at 0 % it is on for nobody", (await at(0)).size === 0);
    const quarter = await at(25);
    const [mean, spread] = [users.length * 0.25, Math.sqrt(users.length * 0.25 * 0.75)];
    steps.hold("at 25 % about a quarter has it", Math.abs(quarter.size - mean) <= deviations * spread);
    const again = await having("who has it when asked again");
    steps.hold("asked again it is the same ones", again.size === quarter.size && within(again, quarter));
    const others = await having("who has another flag at 25 %", otherFlag);
    const both = [...others].filter((id) => quarter.has(id)).length;
    steps.hold("another flag begins with other users", both < quarter.size * 0.6 && others.size > 0);
    const half = await at(50);
    steps.hold("at 50 % nobody has lost it", within(quarter, half) && half.size > quarter.size);
    steps.hold("at 100 % everybody has it", (await at(100)).size === users.length);
    const [listed] = users.filter((id) => !quarter.has(id));
    await steps.ask("a user is listed", "server", change, [[flag], 0, [listed]]);
    const alone = await having("who has it by the list");
    steps.hold("the list gives it to this user alone", alone.size === 1 && alone.has(listed ?? ""));
    await steps.ask("the account is listed", "server", change, [[flag], 0, [account]]);
    const mine = "SELECT enabled FROM public.my_feature_flags() WHERE feature_name = $1";
    await steps.expect("the user sees that he has it", { person: account }, true, mine, [flag]);
    steps.measured["users"] = users.length;
    steps.measured["accounts"] = accounts.length;
    steps.measured["atQuarterPercent"] = (quarter.size / users.length) * 100;
  },
});
