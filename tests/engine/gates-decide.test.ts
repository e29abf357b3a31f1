import { expect } from "chai";
import { DatabaseError } from "pg";
import type { Database } from "../../engine/database";
import { couldRunAgain, runCheck, type Check, type Declared, type Outcome } from "../../engine/gates/check";
import { Counted, faultsOf, keptFaults } from "../../engine/gates/faults";
import { knownOf } from "../../engine/gates/judge";
import { decide, refusalOf, type Rules } from "../../engine/gates/decide";

const check = (name: string, worse?: string[]): Check => ({
  name,
  asks: `whether ${name} is`,
  cost: "catalogue",
  ...(worse ? { worse } : {}),
  run: () => Promise.reject(new Error("is not asked here")),
});

const said = (
  name: string,
  verdict: Outcome["verdict"],
  evidence: string[],
  figures?: Record<string, number>,
): Outcome => ({
  check: name,
  verdict,
  evidence,
  ...(figures ? { figures } : {}),
  mend: [`mend ${name}`],
  seconds: 0,
});

const at = "2026-01-02T03:04:05.000000Z";

/** What a gate of one check decides. */
const of = (rules: Partial<Rules>, outcome: Outcome, before = {}, worse?: string[]) => {
  const checks = [check(outcome.check, worse)];
  const whole: Rules = { gate: "schema", ...rules };
  const decision = decide(checks, [outcome], whole, before, at);
  return { ...decision, message: refusalOf(whole, decision, checks.length)?.message };
};

describe("a gate's decision", () => {
  it("19-1 stops at what failed; at what could not run only where guardian:strict is set; never at a warning", () => {
    const verdict = (came: Outcome["verdict"], strict = false) => of({ strict }, said("a", came, ["x"])).verdict;
    expect(verdict("failed")).to.equal("not ready");
    expect(verdict("could not run")).to.equal("ready with warnings");
    expect(verdict("could not run", true)).to.equal("not ready");
    for (const came of ["warned", "passed", "not applicable"] as const)
      expect(of({ strict: true }, said("a", came, ["x"])).stops).to.deep.equal([]);
  });

  it("19-1 says what failed, measured against what, and the three ways on", () => {
    const { message } = of({}, said("row-security", "failed", ["t has row security off"], { faults: 1 }));
    expect(message?.split("\n")).to.deep.equal([
      "gate schema: 1 of 1 checks did not pass (row-security); the data stage was not begun [gate-failed]",
      "  where: gate schema",
      "    row-security (whether row-security is) failed:",
      "      t has row security off",
      "  to do: mend row-security: mend row-security",
      `     or: accept row-security as it is now, with a reason: pulumi config set --path 'guardian:accept["row-security"]' 'why', then up`,
      "     or: roll back: pulumi config set guardian:through infrastructure, then up, which asks no gate",
    ]);
  });

  it("19-1 an acceptance holds while the figure is no worse, and is void once it is: until another reason is given", () => {
    const figures = (n: number) => said("loss", "failed", [`${n} rows, at noon ${n}`], { lostRows: n });
    const accept = { loss: "known test rows" };
    const first = of({ accept }, figures(3), {}, ["lostRows"]);
    expect([first.verdict, first.message]).to.deep.equal(["ready with warnings", undefined]);
    expect(first.accepted).to.deep.equal({
      loss: { reason: "known test rows", at, figures: { lostRows: 3 }, evidence: ["3 rows, at noon 3"] },
    });
    for (const n of [3, 2]) {
      const { stops, accepted } = of({ accept }, figures(n), first.accepted, ["lostRows"]);
      expect(stops, `${n}`).to.deep.equal([]);
      expect(accepted, "what was accepted stays what it was").to.deep.equal(first.accepted);
    }
    const worse = of({ accept }, figures(4), first.accepted, ["lostRows"]);
    expect(worse.verdict).to.equal("not ready");
    expect(worse.message).to.contain('it was accepted on 2026-01-02T03:04 ("known test rows"), and is worse since:');
    expect(worse.message).to.contain("lostRows was 3, and is 4 now");
    const anew = of({ accept: { loss: "looked at the fourth too" } }, figures(4), worse.accepted, ["lostRows"]);
    expect(anew.accepted["loss"]?.figures).to.deep.equal({ lostRows: 4 });
    // Taken out of the configuration, it is accepted no more.
    expect(of({}, figures(3), first.accepted, ["lostRows"])).to.deep.include({ verdict: "not ready", accepted: {} });
  });

  it("19-1 where faults are named, another one voids it though there are no more; other numbers do not", () => {
    const accept = { flow: "known" };
    const decided = (lines: string[], before = {}) => {
      const checks = [{ ...check("flow", ["faults"]), named: true } as const];
      return decide(checks, [said("flow", "failed", lines, { faults: 1 })], { gate: "end", accept }, before, at);
    };
    const first = decided(["2 of 10 users see rows of t1", "a step: SQLSTATE 42501"]);
    expect(first.stops).to.deep.equal([]);
    const { accepted } = first;
    expect(decided(["3 of 12 users see rows of t1"], accepted).stops).to.deep.equal([]);
    for (const other of ["2 of 10 users see rows of t2", "a step: SQLSTATE 23505"])
      expect(decided([other], accepted).stops[0]?.since?.worse).to.deep.equal([other]);
  });

  it("19-1 where no figure says what is worse, a line of evidence that is new voids it", () => {
    const accept = { views: "the reporting team's" };
    const { accepted } = of({ accept }, said("views", "failed", ["view a", "view b"]));
    expect(of({ accept }, said("views", "failed", ["view b"]), accepted).stops).to.deep.equal([]);
    expect(of({ accept }, said("views", "failed", ["view b", "view c"]), accepted).message).to.match(
      /worse since:\n +view c/,
    );
  });

  const faultsIn = (of: string, each: readonly string[], allowed = 0) =>
    faultsOf([[of, new Counted().add(...each), allowed]]);

  it("19-4 an acceptance is of those faults that were there: others void it though there are no more", () => {
    const accept = { loss: "known" };
    const decided = (faults: Pick<Outcome, "faults">, before = {}) =>
      of({ accept }, { ...said("loss", "failed", ["x"], { lostRows: 2 }), ...faults }, before, ["lostRows"]);
    const worse = (faults: Pick<Outcome, "faults">, before: object): readonly string[] =>
      decided(faults, before).stops[0]?.since?.worse ?? [];
    const { accepted } = decided(faultsIn("t", ["3", "7"]));
    expect(accepted["loss"]?.faults?.["t"]).to.deep.include({ count: 2, each: ["3", "7"] });
    for (const same of [["3", "7"], ["7"], []]) expect(worse(faultsIn("t", same), accepted)).to.deep.equal([]);
    expect(worse(faultsIn("t", ["3", "8"]), accepted)).to.deep.equal(["t: others than then: 8"]);
    expect(worse(faultsIn("u", ["3"]), accepted), "of another table").to.deep.equal(["u: others than then: 3"]);
    // As many as the application may have deleted since.
    expect(worse(faultsIn("t", ["3", "7", "8"], 1), accepted)).to.deep.equal([]);
    expect(worse(faultsIn("t", ["3", "8", "9"], 1), accepted)).to.have.length(1);
    // Accepted by a release that did not keep them.
    expect(worse(faultsIn("t", ["3"]), decided({}).accepted)).to.have.length(1);
  });

  it("19-4 of more faults than are kept one by one any other set voids it", () => {
    const accept = { loss: "known" };
    const decided = (each: readonly string[], before = {}) =>
      of({ accept }, { ...said("loss", "failed", ["x"], { lostRows: 1 }), ...faultsIn("t", each) }, before, [
        "lostRows",
      ]);
    const many = Array.from({ length: keptFaults + 1 }, (_none, i) => String(i));
    const { accepted } = decided(many);
    expect(accepted["loss"]?.faults?.["t"]).to.have.all.keys("count", "hash");
    expect(decided(many, accepted).stops).to.deep.equal([]);
    for (const other of [[...many.slice(1), "x"], ["x"]])
      expect(decided(other, accepted).stops[0]?.since?.worse.join()).to.match(/^t: not the same 1001 as then/);
  });

  it("19-1 a check that could not run for a reason that passes could run again; for one that stays it could not", async () => {
    const host = { read: (work: (db: object) => Promise<unknown>) => work({}) } as unknown as Database;
    const again = async (sqlstate: string, verdict: Outcome["verdict"] = "could not run"): Promise<boolean> => {
      const run = () => Promise.reject(Object.assign(new DatabaseError("no", 1, "error"), { code: sqlstate }));
      const outcome = await runCheck({ ...check("a"), run }, host, {} as Declared);
      return couldRunAgain({ ...outcome, verdict });
    };
    for (const code of ["55P03", "57014", "57P01", "40001", "53200", "08006"])
      expect(await again(code), code).to.equal(true);
    expect(await again("42501")).to.equal(false);
    expect(await again("57014", "failed")).to.equal(false);
    // What it says is for people: no word of it decides.
    expect(couldRunAgain(said("a", "could not run", ["as somebody wrote: (SQLSTATE 57014)"]))).to.equal(false);
  });

  it("19-2 keeps what whole tables said where only a flag changed, and the baseline while the schema stage stands", () => {
    const outcome = said("a", "passed", ["x"], { rows: 1 });
    const known = (more: Partial<Check>, asking: { schemaStands: boolean; passes: boolean }, standing = [outcome]) =>
      knownOf({ ...check("a"), ...more }, new Map(standing.map((one) => [one.check, one])), asking);
    const flagOnly = { schemaStands: true, passes: false };
    expect(known({ cost: "pass" }, flagOnly)).to.equal(outcome);
    expect(known({ cost: "pass" }, { ...flagOnly, passes: true })).to.equal(undefined);
    expect(known({ cost: "pass" }, flagOnly, []), "never asked").to.equal(undefined);
    for (const verdict of ["failed", "could not run"] as const)
      expect(known({ cost: "pass" }, flagOnly, [{ ...outcome, verdict }]), `${verdict}: asked again`).to.equal(
        undefined,
      );
    expect(known({ cost: "queries" }, flagOnly)).to.equal(undefined);
    const baseline = { cost: "queries", baseline: true } as const;
    expect(known(baseline, flagOnly)).to.equal(outcome);
    expect(known(baseline, { schemaStands: false, passes: true })).to.equal(undefined);
    expect(known(baseline, flagOnly, [])?.verdict, "a stack of the release before").to.equal("not applicable");
  });
});
