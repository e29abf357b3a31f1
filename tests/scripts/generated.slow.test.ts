import { expect } from "chai";
import { main as docs } from "../../scripts/docs";
import { main as verifySql } from "../../scripts/verify-sql";

// That pages and files are current is examined.test.ts's and verify-sql.test.ts's: on a database that they have already.
describe("npm run docs and npm run verify-sql, on servers of their own", function () {
  this.timeout(300_000);

  for (const [name, main] of Object.entries({ docs, "verify-sql": verifySql })) {
    it(`${name} -- --check finds all current`, async () => expect(await main(["--check"])).to.equal(0));
  }
});
