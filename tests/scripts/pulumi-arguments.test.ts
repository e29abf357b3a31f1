import { expect } from "chai";
import { engineArguments, parse } from "../../scripts/pulumi/arguments";

const address = "127.0.0.1:4711";
const started = (line: string, at?: string): string => engineArguments(parse(line.split(" "), "/p"), at).join(" ");

describe("npm run pulumi, the command line", () => {
  it("serves every command that runs the program, by each of its names", () => {
    for (const verb of ["preview", "pre", "up", "update"]) {
      expect(started(`${verb} --diff`, address)).to.equal(`${verb} --diff --client=${address} --exec-kind auto.inline`);
    }
  });

  it("lets destroy and refresh run the program, unless told otherwise", () => {
    for (const verb of ["destroy", "down", "dn", "refresh"])
      expect(started(`${verb} --yes`)).to.equal(`${verb} --yes --run-program`);
    expect(started("destroy --run-program=false")).to.equal("destroy --run-program=false");
    expect(started("destroy", address)).to.equal(`destroy --run-program --client=${address} --exec-kind auto.inline`);
  });

  it("passes everything else through as it is", () => {
    for (const line of [
      "config set guardian:through schema",
      "stack output up",
      "package get-schema ./provider/x",
      "up --help",
      "-h",
      "up --client=127.0.0.1:1",
      "preview --remote",
    ]) {
      expect(started(line, address)).to.equal(line);
    }
  });

  it("finds the verb behind global flags and their values", () => {
    expect(parse(["--color", "never", "-v", "3", "--logtostderr", "up"])).to.include({ verb: "up", operation: "up" });
  });

  it("finds what names the stack", () => {
    const named = (line: string): string => parse(line.split(" ")).stack.join(" ");
    expect(["up -s a --yes", "up --stack b", "up --stack=c", "up --yes"].map(named)).to.deep.equal([
      ...["-s a", "--stack b", "--stack=c", ""],
    ]);
  });

  it("takes the folder out of the arguments", () => {
    for (const argv of [
      ["-C", "a b", "up"],
      ["up", "--cwd", "a b"],
      ["--cwd=a b", "up"],
    ]) {
      expect(parse(argv, "/p")).to.include({ folder: "/p/a b", verb: "up" }).and.have.deep.property("args", ["up"]);
    }
  });

  it("knows which commands need the stack", () => {
    const need = (line: string): boolean => parse(line.split(" ")).needsStack;
    expect(
      ["up", "config", "config set a b", "stack", "stack output", "cancel", "state delete x"].filter(need),
    ).to.have.lengthOf(7);
    expect(
      ["up --help", "up -s prod", "up --stack=prod", "stack ls", "stack init x", "login", "version"].filter(need),
    ).to.deep.equal([]);
    // 16-3: a word may name the stack, too.
    const named = [
      "stack rm prod --force",
      "stack init prod",
      "stack select prod",
      "cancel prod",
      "stack rm",
      "cancel",
    ];
    expect(named.map((line) => parse(line.split(" ")).named)).to.deep.equal([
      ...["prod", "prod", "prod", "prod", undefined, undefined],
    ]);
    expect(named.filter(need)).to.deep.equal(["stack rm", "cancel"]);
  });

  it("knows which commands cannot do without the language host", () => {
    expect(parse(["import", "a"])).to.include({ needsHost: true, operation: undefined });
    expect(parse(["watch"]).needsHost).to.equal(true);
    expect(parse(["import", "--help"]).needsHost).to.equal(false);
  });
});
