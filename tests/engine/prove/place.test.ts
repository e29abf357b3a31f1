import { expect } from "chai";
import { statementsOf } from "../../../engine/backup/prove/place";

/** A setting of several lines, as who keeps a key in one has it. */
const key = "-----BEGIN KEY-----\n\n  MIIB\n-----END KEY-----";

describe("the statements of a client's script", () => {
  it("17-1 are without what is before each, and with every line that is within", async () => {
    const script = `\\restrict x\n\n--\n-- Roles\n--\n\nCREATE ROLE a;\n-- settings\n ALTER ROLE a SET app.key TO '${key}';\n
      COMMENT ON ROLE a IS 'one\n\n-- two\n   three';\n\\unrestrict x\n`;
    expect(await statementsOf(script)).to.deep.equal([
      "CREATE ROLE a",
      `ALTER ROLE a SET app.key TO '${key}'`,
      "COMMENT ON ROLE a IS 'one\n\n-- two\n   three'",
    ]);
  });
});
