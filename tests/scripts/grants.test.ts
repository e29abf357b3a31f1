import { expect } from "chai";
import { main } from "../../scripts/grants";
import { roleNames } from "../../spec/roles";

describe("npm run grants", () => {
  it("18-2 npm run grants prints the four of them, or takes them away, with names quoted", async () => {
    const printed = async (...options: string[]): Promise<string[]> => {
      const lines: string[] = [];
      const print = (text: string): void => void lines.push(...text.split("\n"));
      expect(await main([...options, "--database", "My DB"], { print, say: print })).to.equal(0);
      return lines;
    };
    const lines = await printed();
    expect(lines.filter((line) => line.startsWith("CREATE ROLE")).map((line) => line.split(" ")[2])).to.deep.equal(
      roleNames,
    );
    expect(lines.every((line) => /^(-- \w|GRANT|ALTER ROLE|CREATE ROLE|$)/.test(line))).to.equal(true);
    expect(lines.join("\n")).to.contain('GRANT CREATE ON DATABASE "My DB" TO guardian_migrator;');
    expect(lines[0]).to.equal("-- for PostgreSQL 17: --server N is for another version");
    const [said, nobody]: [string[], (line: string) => void] = [[], (line) => void said.push(line)];
    expect(await main(["--role", ""], { print: nobody, say: nobody })).to.equal(2);
    expect(said.join()).to.contain("--role has no name");
    const undo = await printed("--undo", "--server", "15");
    expect(undo.at(-1)).to.equal("DROP ROLE guardian_migrator;");
    expect(undo.every((line) => /^(REVOKE .* FROM guardian_\w+|DROP ROLE guardian_\w+);$/.test(line))).to.equal(true);
    for (const what of [[], ["--undo"], ["--role", "mine"]]) {
      const bare = async (...options: string[]): Promise<string[]> =>
        (await printed(...what, ...options)).map((line) => line.replace(/ +--.*/, ""));
      const all = await bare();
      const on = all.filter((line) => line.includes("user_profiles"));
      expect(on, what.join()).to.have.length(3);
      expect(await bare("--without-profiles")).to.deep.equal(all.filter((line) => !on.includes(line)));
    }
  });

  it("18-2 the migration's rights, and the API's roles, are given to none of the other three", async () => {
    for (const role of roleNames.filter((name) => name !== "guardian_migrator")) {
      const said: string[] = [];
      const surroundings = {
        print: (text: string) => void said.push(text),
        say: (text: string) => void said.push(text),
      };
      expect(await main(["--role", role, "--gates", "--database", "g"], surroundings), role).not.to.equal(0);
      expect(said.join("\n")).to.contain(`--role ${role} would give that role all that the migration may`);
      expect(said.join("\n")).not.to.match(/^GRANT/m);
    }
  });
});
