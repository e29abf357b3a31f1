import { majors, type Major } from "../../engine/server/binaries";

/**
 * The PostgreSQL that this run tests on: GUARDIAN_TEST_PG, else 17, which is production's.
 * @throws Error if there is no server of that version
 */
export const major: Major = chosen(process.env["GUARDIAN_TEST_PG"] ?? "17");

function chosen(said: string): Major {
  const found = majors.find((one) => String(one) === said);
  if (found) return found;
  throw new Error(`GUARDIAN_TEST_PG is "${said}": there is a server for ${majors.join(", ")}`);
}
