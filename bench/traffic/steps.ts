import type { Client } from "pg";
import { timedSteps } from "../../engine/ledger/tools";
import type { Seen, Span } from "./record";

/** A piece of the migration's work as the ledger has it. */
export interface Step extends Span {
  /** `backup`, `SchemaModule 004_enhanced_consent`, `… index x`. */
  name: string;
  kind: string;
}

/**
 * The ledger's steps of the `up` that just ended. A step's end is written before its transaction ends: a module writes it
 * before it takes v6's locks. So what comes after that, until COMMIT, is a step of its own within it; the server must have
 * track_commit_timestamp on (manual, 20.6.1). Its clock is this machine's.
 */
export async function readSteps(admin: Client): Promise<Step[]> {
  return (await timedSteps(admin)).flatMap(({ urn, part, kind, from, written, to }) => {
    const name = [kind, urn.split("::").at(-1), part].filter(Boolean).join(" ");
    const rest = { name: `${name}: after its entry (v6 locks), to COMMIT`, kind: "commit", from: written, to };
    return [{ name, kind, from, to }, ...(written < to ? [rest] : [])];
  });
}

/** What was going on while requests were slow. */
export interface Blame {
  name: string;
  /** How long it took, over all rounds. */
  seconds: number;
  requests: number;
  /** Those that took longer than the limit. */
  slow: number;
  worstMs: number;
}

/**
 * Puts each request down to the step that ran in the middle of it; of several, as a module and its index, the shortest.
 * @param limit milliseconds from which on a request is slow
 * @returns the steps with slow requests, those with the most first
 */
export function blame(ups: readonly { record: Seen; steps: readonly Step[]; span: Span }[], limit: number): Blame[] {
  const found = new Map<string, Blame>();
  const entry = (name: string): Blame => {
    const one = found.get(name) ?? { name, seconds: 0, requests: 0, slow: 0, worstMs: 0 };
    found.set(name, one);
    return one;
  };
  for (const { record, steps, span } of ups) {
    const first = Math.min(...steps.map(({ from }) => from));
    const last = Math.max(...steps.map(({ to }) => to));
    const outside = [
      { name: "before the first step: engine, program and plugin start", from: span.from, to: first },
      { name: "after the last step: engine and plugin end", from: last, to: span.to },
      { name: "between steps", from: first, to: last },
    ];
    // "between steps" is the longest of all, so that it is taken where there is nothing else.
    const all = [...steps, ...outside].sort((a, b) => a.to - a.from - (b.to - b.from));
    for (const { name, from, to } of steps) entry(name).seconds += (to - from) / 1000;
    record.at.forEach((at, i) => {
      const latency = record.latency[i] ?? 0;
      const middle = at + latency / 2;
      const one = entry(all.find(({ from, to }) => middle >= from && middle < to)?.name ?? "between steps");
      one.requests++;
      if (latency > limit) one.slow++;
      one.worstMs = Math.max(one.worstMs, latency);
    });
  }
  return [...found.values()].filter(({ slow }) => slow > 0).sort((a, b) => b.slow - a.slow);
}
