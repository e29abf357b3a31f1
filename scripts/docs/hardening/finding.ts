/** Something that broke, and what became of it. */
export interface Finding {
  /** `issue-line`; a line has as many findings as it has things that broke. */
  id: string;
  happened: string;
  holds: string;
  /** `path below tests/: part of a title`, or a path alone for a whole file. */
  tests: readonly string[];
}

/** @param found by their ids: what happened, what holds now, and the tests */
export const held = (
  found: Readonly<Record<string, readonly (readonly [happened: string, holds: string, ...tests: string[]])[]>>,
): Finding[] =>
  Object.entries(found).flatMap(([id, all]) =>
    all.map(([happened, holds, ...tests]) => ({ id, happened, holds, tests })),
  );
