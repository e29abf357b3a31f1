import { createHash } from "node:crypto";
import type { KeptFaults } from "../ledger/details";
import { some } from "./check";

/** So many faults of one check are kept one by one; of more only how many there are, and a hash of all. */
export const keptFaults = 1000;

/** By what they are faults of: a table, or the question that found them. */
type Faults = Readonly<Record<string, KeptFaults>>;

/** Takes faults in, however many there are: it has a thousand of them in memory. */
export class Counted {
  count = 0;
  readonly #first: string[] = [];
  readonly #hash = createHash("sha256");

  /** @param faults each by a name or a place, in an order that is the same the next time */
  add(...faults: readonly string[]): this {
    for (const fault of faults) {
      this.count++;
      this.#hash.update(`${JSON.stringify(fault)}\n`);
      if (this.#first.length < keptFaults) this.#first.push(fault);
    }
    return this;
  }

  /** @param left so many may still be kept one by one */
  kept(left: number, allowed = 0): KeptFaults {
    const hash = this.#hash.copy().digest("hex").slice(0, 32);
    const each = this.count <= left ? { each: [...this.#first] } : {};
    return { count: this.count, hash, ...each, ...(allowed > 0 ? { allowed } : {}) };
  }
}

/**
 * What a check found, as it is kept; what has no fault is left out.
 * @param found by what they are faults of; `allowed`: so many may be nobody's
 */
export function faultsOf(found: Iterable<readonly [of: string, faults: Counted | undefined, allowed?: number]>): {
  faults?: Faults;
} {
  const kept: Record<string, KeptFaults> = {};
  let left = keptFaults;
  for (const [of, faults, allowed] of found) {
    if (!faults || faults.count === 0) continue;
    kept[of] = faults.kept(left, allowed);
    left -= kept[of].each?.length ?? 0;
  }
  return Object.keys(kept).length > 0 ? { faults: kept } : {};
}

/** The same of one question. @param each as Counted takes them */
export const faultsNamed = (of: string, each: readonly string[]): { faults?: Faults } =>
  faultsOf([[of, new Counted().add(...each)]]);

/**
 * Faults that were not there then, but for as many as may have become nobody's since. Fewer are none. Where too many are
 * there to keep them one by one, every other set is another.
 * @returns lines for people
 */
export function othersThan(then: Faults = {}, now: Faults = {}): string[] {
  return Object.entries(now).flatMap(([of, { count, hash, each, allowed = 0 }]) => {
    const was = then[of];
    if (was?.hash === hash) return [];
    if (each === undefined || (was !== undefined && was.each === undefined))
      return [`${of}: not the same ${was?.count ?? 0} as then; which of the ${count} are others is not kept`];
    const known = new Set(was?.each);
    const others = each.filter((one) => !known.has(one));
    if (others.length <= Math.max(0, allowed - (was?.allowed ?? 0))) return [];
    return [`${of}: others than then: ${some(others).join(", ")}`];
  });
}
