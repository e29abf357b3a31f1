import { expect } from "chai";
import { GuardianError } from "../../../../engine/base/errors";
import { gates } from "../../../../engine/gates";
import { runCheck, type Check, type Declared, type Outcome } from "../../../../engine/gates/check";
import { askGate } from "../../../../engine/gates/judge";
import { recordedBefore, recordedGates } from "../../../../engine/gates/recorded";
import type { Gate } from "../../../../spec/gates";
import { declared as base, line } from "../asked";
import { asOneProcess } from "../harness";
import type { Fault, Place, Stack } from "./fault";

/** What several declare together; the last one wins. */
const merged = (...stacks: (Stack | undefined)[]): Stack =>
  stacks.reduce<Stack>(
    (all, one) => ({
      ...all,
      ...one,
      accept: { ...all.accept, ...one?.accept },
      declared: { ...all.declared, ...one?.declared },
    }),
    {},
  );

/** The lists in which engine/gates/index.ts has each check. */
const lists = Object.values(gates) as unknown as Check[][];

const declaredBy = ({ declared, strict = false }: Stack): Declared => ({ ...base, ...declared, strict });

/** What one check says, asked by a process of its own. */
const said = ({ db }: Place, name: string, stack: Stack): Promise<Outcome> =>
  asOneProcess(db, async (host) => {
    const check = lists.flat().find((one) => one.name === name);
    if (!check) throw new Error(`there is no check ${name}`);
    return runCheck(check, host, declaredBy(stack), recordedBefore(await host.steps()));
  });

/** What a gate came to in an `up`: why it stopped, or what its checks said. */
type Passage = { readonly stopped: string } | { readonly outcomes: readonly Outcome[] };

/** Asks a gate with all the checks that it has, as `up` does. */
export const through = ({ engine, db }: Place, gate: Gate, stack: Stack): Promise<Passage> =>
  asOneProcess(db, async (host) => {
    const checks = gates[gate].map(({ name }) => name);
    const { accept, strict } = stack;
    const wanted = { gate, checks, judges: {}, declared: declaredBy(stack), accept, strict };
    const signal = new AbortController().signal;
    const asking = { host, signal, schemaStands: false, passes: true, old: true, onAsk: () => undefined };
    try {
      const { said: now } = await engine.write("Gate", `gate-${gate}`, (fenced) => askGate(fenced, wanted, asking));
      return { outcomes: now.outcomes ?? [] };
    } catch (err) {
      if (err instanceof GuardianError && err.code === "gate-failed") return { stopped: err.message };
      throw err;
    }
  });

/** Works with other lists than engine/gates/index.ts has. */
async function relisted<T>(other: (list: readonly Check[]) => Check[], work: () => Promise<T>): Promise<T> {
  const was = lists.map((list) => [...list]);
  for (const list of lists) list.splice(0, list.length, ...other([...list]));
  try {
    return await work();
  } finally {
    for (const [i, list] of lists.entries()) list.splice(0, list.length, ...(was[i] ?? []));
  }
}

/** Works with another check in one's place. */
export const instead = <T>(other: Check, work: () => Promise<T>): Promise<T> =>
  relisted((list) => list.map((one) => (one.name === other.name ? other : one)), work);

/**
 * Asks a gate of which some checks say what is known of them, in the place of what is so now.
 * @param without a check whose file is taken away, with its line in index.ts
 */
const passage = (
  place: Place,
  gate: Gate,
  stack: Stack,
  known: (check: Check) => Outcome | undefined,
  without?: string,
): Promise<Passage> =>
  relisted(
    (list) =>
      list
        .filter(({ name }) => name !== without)
        .map((one) => {
          const said = known(one);
          return said ? { ...one, run: () => Promise.resolve(said) } : one;
        }),
    () => through(place, gate, stack),
  );

/** What the checks of a gate said, whatever that was. */
const answersOf = async ({ engine }: Place, gate: Gate): Promise<readonly Outcome[]> =>
  recordedGates(await engine.host.steps()).get(gate)?.detail.outcomes ?? [];

const stoppedBy = (passage: Passage): string => ("stopped" in passage ? passage.stopped : "");

/** What is accepted and declared while a fault is there. For a reason of its own: what was accepted of another holds for nothing else. */
const plantedStack = (place: Place, one: Fault): Stack => {
  const accept = Object.fromEntries((one.also ?? []).map((name) => [name, whatOf(one)]));
  return merged(place.stack, one.stack, { accept }, one.planted?.(place));
};

const whatOf = ({ check, fault }: Fault): string => `${check}: ${fault}`;

/**
 * Plants each fault, sees its check find it, and takes it back; after the last one of a check it says what it said before. Where
 * the fault is tried at a gate, `up` goes through it before, and stops with the fault there, at this check alone. The first time at
 * a gate all its checks are asked with the fault there, and `up` goes through again once the check's file is taken away; then all
 * but those that see it too say what they said before: `eachGoesUnseen` asks them all, each check's file taken away.
 */
export async function eachIsFound(place: Place, faults: readonly Fault[]): Promise<void> {
  const sound = new Map<string, Outcome>();
  const passed = new Set<string>();
  const whole = new Set<Gate>();
  for (const [i, one] of faults.entries()) {
    const { check, at, also = [], verdict = "failed" } = one;
    const what = whatOf(one);
    const stack = merged(place.stack, one.stack);
    const key = (name: string): string => JSON.stringify([name, stack]);
    const expectSound = (said: Outcome | undefined, when: string): void => {
      expect(said && line(said), `${what}, ${when}`).to.match(one.sound ?? /^passed/);
    };
    if (at && !passed.has(key(at))) {
      expect(stoppedBy(await through(place, at, stack)), `gate ${at} of a sound v6, before ${what}`).to.equal("");
      for (const outcome of await answersOf(place, at)) sound.set(key(outcome.check), outcome);
      passed.add(key(at));
    }
    if (!sound.has(key(check))) sound.set(key(check), await said(place, check, stack));
    expectSound(sound.get(key(check)), "before");
    const known = ({ name }: Check): Outcome | undefined =>
      at && whole.has(at) && name !== check && !also.includes(name) ? sound.get(key(name)) : undefined;
    const planted = plantedStack(place, one);
    await one.plant?.(place);
    try {
      const stopped = at && stoppedBy(await passage(place, at, planted, known));
      const answers = at ? await answersOf(place, at) : [await said(place, check, planted)];
      const found = answers.find(({ check: name }) => name === check);
      expect(found && line(found), what).to.match(one.says);
      expect(found?.verdict, what).to.equal(verdict);
      if (at) {
        const stops =
          verdict === "warned" ? /^$/ : new RegExp(`^gate ${at}: 1 of \\d+ checks did not pass \\(${check}\\)`);
        expect(stopped, what).to.match(stops);
        const again = ({ name }: Check): Outcome | undefined => answers.find((said) => said.check === name);
        if (!whole.has(at)) unseen(await passage(place, at, planted, again, check), one);
        whole.add(at);
      }
    } finally {
      await one.undo?.(place);
    }
    // What is not put back is the last of its setting, or nothing that another minds.
    const last = !faults.slice(i + 1).some((later) => later.check === check);
    if (last && one.undo && !one.leaves) expectSound(await said(place, check, stack), "once it is undone");
  }
}

/** Plants each fault that is tried at a gate, and sees `up` go through where the check's file is taken away and all others are asked. */
export async function eachGoesUnseen(place: Place, faults: readonly Fault[]): Promise<void> {
  for (const one of faults) {
    if (one.at === undefined) continue;
    await one.plant?.(place);
    try {
      unseen(await passage(place, one.at, plantedStack(place, one), () => undefined, one.check), one);
    } finally {
      await one.undo?.(place);
    }
  }
}

/** Nothing stops it, and nobody tells it. */
function unseen(without: Passage, one: Fault): void {
  const what = `${whatOf(one)}, with the check's file taken away`;
  expect(stoppedBy(without), what).to.equal("");
  const told = "outcomes" in without ? without.outcomes.map(line).join("\n") : "";
  expect(told, what).not.to.match(one.says);
}
