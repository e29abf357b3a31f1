import { appendFileSync } from "node:fs";

/** What the titles of the long tests end with, by which tests/run.ts runs them or leaves them out. */
const mark = "[long]";

/** For mocha's --grep: a title that ends with the mark. */
export const longTitles = "\\[long\\]$";

/** The variable that names the file to which each long test writes its title as it is declared: one line each. */
export const declaredVariable = "GUARDIAN_TEST_LONG";

/**
 * Declares a test as `it` does, for `npm run test:long`, `.ci/run` and `npm run test:all`; `npm test` says how many there are.
 * For more of what a test in `npm test` shows by one case already (CONTRIBUTING.md); never the only test of a property.
 *
 * @returns the test
 */
export function long(title: string, body: Mocha.Func | Mocha.AsyncFunc): Mocha.Test {
  const file = process.env[declaredVariable];
  if (file !== undefined) appendFileSync(file, `${title}\n`);
  return it(`${title} ${mark}`, body as Mocha.Func);
}
