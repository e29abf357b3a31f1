import { majors, type Major } from "../../engine/server/binaries";

/** The PostgreSQL that this run tests on: GUARDIAN_TEST_PG, else 17, which is production's. Another ends the process with exit code 2. */
export const major: Major = chosen(process.env["GUARDIAN_TEST_PG"] ?? "17");

function chosen(said: string): Major {
  const found = majors.find((one) => String(one) === said);
  if (found) return found;
  console.error(`GUARDIAN_TEST_PG is "${said}": there is a server for ${majors.join(", ")}`);
  process.exit(2);
}
