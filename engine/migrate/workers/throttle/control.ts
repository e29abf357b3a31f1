import type { Latency, Limits, Signals, Usual } from "./types";

/** Milliseconds between two decisions; the steps below are made for it. */
export const decisionMs = 200;
/** So many probes at least since the last cut: with fewer, two slow ones would be the p95. */
const enoughProbes = 30;
/** So many doubts in a row are none any more: 4 s, in which the window was replaced more than twice. */
const enoughDoubts = 20;
/**
 * Where it begins: what a server bears is not known before it was tried. On an idle one full speed is reached within 3 s,
 * while beginning there makes everybody else wait until it is found out that it was too fast.
 */
export const openingSpeed = 0.1;
/** Speed gained a decision, times the decisions in a row that found nothing wrong: gentle at first, then bolder. */
const gain = 0.02;

/** What a decision leaves for the next one. */
export interface Decision {
  /** Speed while nothing stops it, floor … maxWorkers. */
  speed: number;
  /** Decisions in a row that found nothing wrong. */
  calm: number;
  /** Decisions in a row that found the probes over the budget, but not by more than chance may do. */
  doubts: number;
  /** What it stands still for: each is let go only well below its limit. */
  stops: readonly Stop[];
  /** Decisions in a row that found something to stand still for. */
  stood: number;
  /** It stood still for so long that the reason cannot be the migration: it goes on at the least speed. */
  creeps: boolean;
  /** For the status line; undefined at full speed. */
  reason: string | undefined;
  /** What made it slower last. */
  cause: string | undefined;
  /** It was cut for the probes' sake: they are judged anew, or one slow second would be paid for many times. */
  judged: boolean;
}

type Stop = "lag" | "blocked" | "archive" | "wraparound";

/** What is known at the moment of a decision. */
export interface Seen {
  signals: Signals;
  latency: Latency;
  /** Why nothing certain is known, for example a lost connection. */
  blind: string | undefined;
}

export interface Rules {
  limits: Limits;
  maxWorkers: number;
  /** 0.10 = 10 %. */
  budget: number;
}

export function begin(rules: Rules): Decision {
  const speed = Math.min(openingSpeed, rules.maxWorkers);
  const reason = "beginning slowly, to see what the server bears";
  return { speed, calm: 0, doubts: 0, stops: [], stood: 0, creeps: false, reason, cause: undefined, judged: false };
}

/** The speed that a decision amounts to: 0 while something stops it. */
export function speedOf(decision: Decision): number {
  return decision.stops.length > 0 && !decision.creeps ? 0 : decision.speed;
}

/**
 * One decision, called every `decisionMs`: what is over a hard limit stops the migration and halves what it will go on
 * with; probes over the budget cut it by as much as they are over, to a half at most, at once if that cannot be chance
 * and after 4 s if it can; otherwise it gets faster, slowly while the probes are in the upper half of the budget. So it
 * settles below what the server can bear (additive increase, multiplicative decrease, as TCP has it). A function of its
 * arguments alone.
 */
export function decide(was: Decision, seen: Seen, rules: Rules): Decision {
  const { maxWorkers, limits } = rules;
  const found = stopsOf(was.stops, seen.signals, limits);
  const stops = found.map(([stop]) => stop);
  if (stops.length > 0) {
    const cause = found.map(([, said]) => said).join("; ");
    const stood = was.stood + 1;
    const still = { calm: 0, doubts: 0, stops, stood, cause, judged: false };
    if (stood * decisionMs > limits.standStillMs) {
      const minutes = (limits.standStillMs / 60_000).toFixed(0);
      const reason = `${cause}; standing still for ${minutes} minutes did not help, so it goes on at the least speed`;
      return { ...still, speed: limits.floor, creeps: true, reason };
    }
    const speed = was.stops.length > 0 ? was.speed : Math.max(limits.floor, was.speed / 2);
    return { ...still, speed, creeps: false, reason: cause };
  }
  was = { ...was, stood: 0, creeps: false };
  if (seen.blind !== undefined)
    return {
      ...was,
      speed: limits.floor,
      calm: 0,
      doubts: 0,
      stops,
      reason: seen.blind,
      cause: seen.blind,
      judged: false,
    };

  const { vacuum } = seen.signals;
  // A VACUUM that is not urgent runs alongside, but what it reads and writes is its share: half the speed is left.
  const most = vacuum ? maxWorkers / 2 : maxWorkers;
  const next = byProbes(was, seen.latency, rules);
  if (next.speed >= most && vacuum) {
    const text = `VACUUM at work on ${vacuum.table} (half speed at most)`;
    return { ...next, speed: most, stops, reason: text, cause: text };
  }
  if (next.speed >= most) return { ...next, speed: most, stops, reason: undefined, cause: undefined };
  return { ...next, stops };
}

function byProbes(was: Decision, { p95, count, usual }: Latency, rules: Rules): Decision {
  const { budget, limits } = rules;
  const again = was.cause === undefined ? undefined : `getting faster again (was: ${was.cause})`;
  if (count < enoughProbes) return { ...was, reason: was.stops.length > 0 ? again : was.reason, judged: false };
  const limit = probeLimit(usual, rules);
  if (p95 > limit) {
    const doubts = p95 > usual.p99 ? 0 : was.doubts + 1;
    if (doubts > 0 && doubts < enoughDoubts)
      return { ...was, calm: 0, doubts, reason: was.reason && again, judged: false };
    const speed = Math.max(limits.floor, was.speed * Math.min(0.8, Math.max(0.5, limit / p95)));
    const text = `p95 of probes ${millis(p95)}, ${percent(p95 / usual.p95 - 1)} (budget ${percent(budget)})`;
    return { ...was, speed, calm: 0, doubts: 0, reason: text, cause: text, judged: speed < was.speed };
  }
  const calm = p95 > (usual.p95 + limit) / 2 ? 1 : was.calm + 1;
  return { ...was, speed: was.speed + gain * calm, calm, doubts: 0, reason: again ?? was.reason, judged: false };
}

/**
 * The p95 from which on probes are slow: over the budget, and by more than `noiseMs` besides. A probe on the same
 * machine takes 0.2 ms, and a tenth of that is what any two samples of a hundred differ by.
 */
export function probeLimit({ p95 }: Usual, { budget, limits }: Rules): number {
  return Math.max(p95 * (1 + budget), p95 + limits.noiseMs);
}

/** Hysteresis: what has stopped it is let go at half of the limit. */
function stopsOf(was: readonly Stop[], signals: Signals, limits: Limits): [Stop, string][] {
  const over = (stop: Stop, value: number, limit: number) => value > (was.includes(stop) ? limit / 2 : limit);
  const found: [Stop, string][] = [];
  const { lagSeconds, lagBytes, blockedMs, archiveFiles = 0, archiveFails, vacuum } = signals;
  if (over("lag", lagSeconds, limits.lagSeconds))
    found.push(["lag", `replication lag ${round(lagSeconds)} s (at most ${round(limits.lagSeconds)} s)`]);
  else if (over("lag", lagBytes, limits.lagBytes))
    found.push(["lag", `replication lag ${mebi(lagBytes)} (at most ${mebi(limits.lagBytes)})`]);
  if (blockedMs > limits.blockedMs) {
    const text = `another session waits for a lock of the migration for ${round(blockedMs / 1000)} s`;
    found.push(["blocked", `${text} (at most ${round(limits.blockedMs / 1000)} s)`]);
  }
  if (over("archive", archiveFiles, limits.archiveFiles))
    found.push(["archive", `${archiveFiles} WAL files wait to be archived (at most ${limits.archiveFiles})`]);
  else if (archiveFails && signals.archiveFiles === undefined)
    found.push(["archive", "archiving WAL fails (pg_stat_archiver)"]);
  if (vacuum?.wraparound)
    found.push(["wraparound", `VACUUM against transaction id wraparound at work on ${vacuum.table}`]);
  return found;
}

/** Two digits where one would hide the value. */
function round(value: number): string {
  return value >= 10 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
}

function millis(value: number): string {
  return `${round(value)} ms`;
}

function mebi(bytes: number): string {
  return `${round(bytes / 1024 / 1024)} MiB`;
}

function percent(share: number): string {
  return `${share < 0 ? "-" : "+"}${Math.abs(share * 100).toFixed(0)} %`;
}
