import { expect } from "chai";
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import type { ReleaseAddresses } from "../../scripts/pulumi/download";
import { findEngine, type Engine, type FindEngineOptions } from "../../scripts/pulumi/engine";
import { pinned } from "../../scripts/pulumi/versions";

/** A release server that is not there: nothing listens on port 9 of this machine. */
const nowhere: ReleaseAddresses = {
  archive: (file) => `http://127.0.0.1:9/${file}`,
  sums: "http://127.0.0.1:9/s",
  answerMs: 500,
};

describe("the pulumi engine", function () {
  this.timeout(120_000);
  let folder: string;
  let lines: string[];
  const at = (...names: string[]): string => join(folder, ...names);
  const cached = (...names: string[]): string => at("cache", "guardian", "pulumi", pinned, ...names);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "guardian engine "));
    lines = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A shell script that answers like an executable of that name. */
  function script(path: string, text: string): string {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, `#!/bin/sh\nPATH=/bin:/usr/bin\n${text}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  /** With only these folders on PATH, so that no Go and no pulumi of this machine is found. */
  function find(options: FindEngineOptions = {}, path: string[] = []): Promise<Engine> {
    const env = { PATH: path.join(delimiter), HOME: folder, XDG_CACHE_HOME: at("cache") };
    return findEngine({ log: { line: (text) => lines.push(text) }, env, release: nowhere, goPlaces: [], ...options });
  }

  async function failure(options: FindEngineOptions = {}, path: string[] = []): Promise<GuardianError> {
    const err: unknown = await find(options, path).catch((thrown: unknown) => thrown);
    expect(err).to.be.instanceOf(GuardianError);
    return err as GuardianError;
  }

  /** What stands in for Go: answers its version and "builds" a pulumi that answers the pinned one. */
  function fakeGo(version: string, build = ""): string {
    script(
      at("go", "go"),
      `
if [ "$1" = version ]; then echo "go version go${version} linux/amd64"; exit; fi
echo build >> "${at("builds")}"
echo "$@" > "${at("arguments")}"
echo some/package >&2
${build}
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho v${pinned}\\n' > "$2"; chmod +x "$2"`,
    );
    return at("go");
  }

  it("is the one on PATH, if it is new enough and runs", async () => {
    script(at("old", "pulumi"), "echo v3.229.9");
    script(at("broken", "pulumi"), "exit 1");
    const good = script(at("good", "pulumi"), "echo v3.231.0-alpha.1");
    const engine = await find({}, [at("old"), at("broken"), at("good")]);
    expect(engine).to.deep.equal({ path: good, version: "3.231.0", from: "PATH" });
    expect(lines).to.deep.equal([
      `passing over ${at("old", "pulumi")}: it is 3.229.9, 3.230.0 or newer is needed`,
      `passing over ${at("broken", "pulumi")}: it does not run`,
      `using pulumi 3.231.0 (PATH: ${good})`,
    ]);
  });

  it("is the cached one, if it is the pinned one and runs", async () => {
    const answers = `echo asked >> "${at("asked")}"; echo v${pinned}`;
    script(cached("pulumi"), answers);
    const asked = async (): Promise<number> => {
      expect(await find()).to.deep.equal({ path: cached("pulumi"), version: pinned, from: "cache" });
      return readFileSync(at("asked"), "utf8").split("\n").length - 1;
    };
    expect([await asked(), await asked()], "once").to.deep.equal([1, 1]);
    script(cached("pulumi"), `${answers} # another`);
    expect(await asked(), "another file").to.equal(2);
    script(cached("pulumi"), "exit 1");
    expect((await failure()).code).to.equal("pulumi-missing");
  });

  it("is downloaded, checked against its sum, language host and all", async () => {
    await withRelease({}, async (release) => {
      expect(await find({ release })).to.deep.equal({ path: cached("pulumi"), version: pinned, from: "download" });
      expect(readdirSync(cached()).toSorted()).to.deep.equal(["pulumi", "pulumi-language-nodejs"]);
      expect((await find({ release: nowhere })).from).to.equal("cache");
    });
  });

  it("is not taken from a download whose sum is another, or that has none, or that does not run", async () => {
    await withRelease({ sum: "0".repeat(64) }, async (release) => {
      const { what } = await failure({ release });
      expect(what).to.match(/has SHA-256 [0-9a-f]{64}, published is 0{64}: it is not used/);
    });
    await withRelease({ sum: "" }, async (release) => {
      expect((await failure({ release })).what).to.match(/the published sums do not list pulumi-v/);
    });
    await withRelease({ answer: "exit 1" }, async (release) => {
      expect((await failure({ release })).what).to.include("the downloaded pulumi does not run here");
    });
    expect(readdirSync(cached())).to.deep.equal([]);
  });

  it("gives up on a server that does not answer", async () => {
    const silent = createServer(() => undefined);
    await listening(silent, async (base) => {
      const release = { archive: (file: string) => `${base}/${file}`, sums: `${base}/sums`, answerMs: 200 };
      expect((await failure({ release })).what).to.match(/download: 127\.0\.0\.1:\d+ did not answer within 0\.2 s/);
    });
  });

  it("is built from the pinned sources where nothing else is possible, and says that it builds", async () => {
    const go = fakeGo("1.26.0", "sleep 2");
    const engine = await find({ intervalMs: 100 }, [go]);
    expect(engine).to.deep.equal({ path: cached("pulumi"), version: pinned, from: "go build" });
    expect(lines[0]).to.match(
      /^download of pulumi 3\.250\.0 is not possible: 127\.0\.0\.1:9: .*(ECONNREFUSED|bad port)/,
    );
    expect(lines.filter((line) => line.startsWith(`building pulumi ${pinned} (`)).length).to.be.greaterThan(2);
    const said = readFileSync(at("arguments"), "utf8");
    expect(said).to.include("build -mod=readonly").and.include(`version.Version=v${pinned}`);
    expect(readdirSync(cached())).to.deep.equal(["pulumi"]);
  });

  it("is built once when two want it at once, and the second says whom it waits for", async () => {
    const go = fakeGo("1.26.0", "sleep 0.8");
    const both = await Promise.all([find({}, [go]), find({}, [go])]);
    expect(both.map((engine) => engine.from).toSorted()).to.deep.equal(["cache", "go build"]);
    expect(readFileSync(at("builds"), "utf8")).to.equal("build\n");
    expect(lines).to.include(`waiting for process ${process.pid}, which is getting pulumi (0 s)`);
  });

  it("is built again after a predecessor that was killed, whose remains go", async () => {
    const gone = execFileSync("sh", ["-c", "echo $$"], { encoding: "utf8" }).trim();
    mkdirSync(cached(".partial-1"), { recursive: true });
    writeFileSync(cached("getting.lock"), JSON.stringify({ pid: Number(gone), host: hostname() }));
    expect((await find({}, [fakeGo("1.26.0")])).from).to.equal("go build");
    expect(readdirSync(cached())).to.deep.equal(["pulumi"]);
  });

  it("says the mend for each way in one error when there is none", async () => {
    const err = await failure();
    expect(err.what).to.match(
      /^There is no usable pulumi CLI and none could be had \(download: .+ \| go build: there is no Go on PATH \(1\.25\.11 or newer is needed\)\)$/,
    );
    expect(err.todo).to.have.lengthOf(4);
    expect(err.todo.join("\n"))
      .to.include("pulumi.com/docs/install")
      .and.include("install Go")
      .and.include("get.pulumi.com");
    expect(readdirSync(cached())).to.deep.equal([]);
  });

  it("says that Go is too old, and what a failed build said last", async () => {
    expect((await failure({}, [fakeGo("1.21.3")])).what).to.include("is 1.21.3, 1.25.11 or newer is needed");
    const broken = fakeGo("1.26.0", "echo no such module >&2; exit 1");
    expect((await failure({}, [broken])).what).to.include("go build ended with code 1: some/package; no such module");
  });

  it("says so when the cache cannot be written", async () => {
    writeFileSync(at("cache"), "");
    expect((await failure()).todo[0]).to.equal("set XDG_CACHE_HOME to a folder you may write");
  });

  async function listening(server: Server, fn: (base: string) => Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      await fn(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  /** A release of the pinned version that consists of shell scripts, packed as the official one is. */
  async function withRelease(
    { sum, answer = `echo v${pinned}` }: { sum?: string; answer?: string },
    fn: (release: ReleaseAddresses) => Promise<void>,
  ): Promise<void> {
    for (const name of ["pulumi", "pulumi-language-nodejs", "pulumi-watch"])
      script(at("release", "pulumi", name), answer);
    execFileSync("tar", ["-czf", at("release.tar.gz"), "-C", at("release"), "pulumi"]);
    const archive = readFileSync(at("release.tar.gz"));
    const published = sum ?? createHash("sha256").update(archive).digest("hex");
    const file = `pulumi-v${pinned}-${process.platform}-${process.arch}.tar.gz`;
    const server = createServer((request, response) => {
      response.end(request.url === "/sums" ? published && `${published}  ${file}\n` : archive);
    });
    await listening(server, (base) =>
      fn({ archive: (name) => `${base}/${name}`, sums: `${base}/sums`, answerMs: 5_000 }),
    );
  }
});
