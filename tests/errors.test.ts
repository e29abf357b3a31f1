import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { DatabaseError } from "pg";
import { fromPostgres, GuardianError } from "../engine/base/errors";
import { errorsPage } from "../scripts/docs/errors";
import { errorCodes } from "../spec/codes";
import { calledBy, pulumiCommand, workOn, wrapperCall } from "../spec/command";

const root = join(__dirname, "..");
const codes = Object.values(errorCodes).flatMap((area) => Object.keys(area));

function* sources(...folders: string[]): Generator<string> {
  for (const folder of folders)
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }))
      if (file.endsWith(".ts")) yield readFileSync(join(root, folder, file), "utf8");
}

/** The codes that no source names. */
const unused = (among: readonly string[]): string[] => {
  const text = [...sources("bench", "config", "engine", "resources", "scripts")].join("\n");
  return among.filter((code) => !text.includes(`"${code}"`));
};

describe("errors", () => {
  it("have a code in brackets at the end of their first line, after SQLSTATE and before the colon of a list", () => {
    const message = (what: string, sqlstate?: string): string =>
      new GuardianError("lock-timeout", { what, where: "here", todo: ["a", "b"], ...(sqlstate ? { sqlstate } : {}) })
        .message;
    const rest = "\n  where: here\n  to do: a\n     or: b";
    expect(message("no")).to.equal(`no [lock-timeout]${rest}`);
    expect(message("no", "55P03")).to.equal(`no (SQLSTATE 55P03) [lock-timeout]${rest}`);
    expect(message("2 errors:\n  one:\n  two")).to.equal(`2 errors [lock-timeout]:\n  one:\n  two${rest}`);
    expect(message("two\nlines", "55P03")).to.equal(`two (SQLSTATE 55P03) [lock-timeout]\nlines${rest}`);
  });

  it("have one that the types know; what PostgreSQL or anybody else threw gets one", () => {
    // @ts-expect-error no such code
    expect(new GuardianError("no-such-code", { what: "no" })).to.have.property("code", "no-such-code");
    expect(fromPostgres(new Error("no"), "here").message).to.equal("no [unexpected]\n  where: here");
    const refused = Object.assign(new DatabaseError("no table t", 10, "error"), { code: "42P01" });
    expect(fromPostgres(refused, "here")).to.include({ code: "postgres-refused", sqlstate: "42P01" });
  });

  it("16-18 of a wait that was cut off say who asked for it and what to do, not ABORT_ERR", async () => {
    const stop = new AbortController();
    const wait = sleep(60_000, undefined, { signal: stop.signal });
    stop.abort(Object.assign(new Error("stopped by the user"), { name: "AbortError", code: "ABORT_ERR" }));
    const out = (err: unknown): string => fromPostgres(err, "Backup backup").message;
    const said =
      "stopped by the user; what was under way is rolled back [interrupted]\n  where: Backup backup\n" +
      "  to do: run the same again: it goes on from what the ledger says is done";
    expect(await wait.catch(out)).to.equal(said);
    expect(out(stop.signal.reason)).to.equal(said);
    const plain = AbortSignal.abort();
    expect(out(plain.reason)).to.match(/^stopped on request; what was under way is rolled back \[interrupted\]/);
  });

  it("have codes in kebab-case, each once, and every one is used", () => {
    expect(codes.filter((code) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(code))).to.deep.equal([]);
    expect(new Set(codes).size).to.equal(codes.length);
    expect(unused(codes)).to.deep.equal([]);
    expect(unused([...codes, "planted-and-never-used"])).to.deep.equal(["planted-and-never-used"]);
  });

  it("name commands as whoever reads them can type them: by npm run pulumi where that was called", () => {
    const was = process.env[calledBy];
    try {
      const named = [undefined, wrapperCall(undefined), wrapperCall("/it's here"), "sh -c"].map((by) => {
        Reflect.deleteProperty(process.env, calledBy);
        if (by !== undefined) process.env[calledBy] = by;
        return pulumiCommand("refresh");
      });
      const elsewhere = "npm run pulumi -- -C '/it'\\''s here' refresh";
      expect(named).to.deep.equal(["pulumi refresh", "npm run pulumi -- refresh", elsewhere, "pulumi refresh"]);
    } finally {
      Reflect.deleteProperty(process.env, calledBy);
      if (was !== undefined) process.env[calledBy] = was;
    }
    try {
      workOn("eu.prod");
      expect(["refresh", "config set a 'b c'", "stack init <name>"].map(pulumiCommand), "16-3").to.deep.equal([
        "pulumi refresh --stack eu.prod",
        "pulumi config set a 'b c' --stack eu.prod",
        "pulumi stack init <name>",
      ]);
      workOn("a b; rm");
      expect(pulumiCommand("refresh")).to.equal("pulumi refresh");
    } finally {
      Reflect.deleteProperty(process.env, "GUARDIAN_STACK");
    }
    // No text of the product names a bare one.
    const bare = (text: string): string[] =>
      text
        .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "")
        .match(/[^\n]*(?<!@|run )\bpulumi (config|stack|state|refresh|up|destroy|preview|cancel)\b[^\n]*/g) ?? [];
    expect(
      ["engine", "resources", "config", "components", "provider"].flatMap((folder) =>
        [...sources(folder)].flatMap(bare),
      ),
    ).to.deep.equal([]);
    expect(bare('todo: "see it: pulumi refresh"')).to.have.length(1);
  });

  it("are all in docs/errors.md, with what they mean and what to do", () => {
    const documented = (page: string): string[] =>
      [...page.matchAll(/^\| `([^`]+)` +\| \S.+ +\| \S.+ +\|$/gm)].map(([, code = ""]) => code);
    expect(documented(errorsPage())).to.deep.equal(codes);
    expect(documented(readFileSync(join(root, "docs/errors.md"), "utf8")), "run `npm run docs`").to.deep.equal(codes);
  });
});
