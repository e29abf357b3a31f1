/** Something that broke, and what became of it. */
export interface Finding {
  /** `issue-line`; a line has as many findings as it has things that broke. */
  id: string;
  happened: string;
  holds: string;
  /** `path below tests/: part of a title`, or a path alone for a whole file. */
  tests: readonly string[];
}

export const held = (id: string, happened: string, holds: string, ...tests: string[]): Finding => ({
  id,
  happened,
  holds,
  tests,
});
