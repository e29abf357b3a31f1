import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Database } from "../../engine/database";
import { runCheck, type Declared, type Outcome } from "../../engine/gates/check";
import { ask } from "../../engine/gates/criteria/ask";
import { guide } from "../../engine/gates/criteria/guide";
import { criteriaLines, summarize, type Criterion } from "../../engine/gates/criteria/summary";
import { main } from "../../scripts/gates";
import { signOffs, type SignOff, type SignOffItem } from "../../spec/sign-offs";
import { problems } from "../sql/003_fhir";
import { long } from "../support/long";
import { withV6, type Login } from "../support/postgres";
import { root } from "../support/plugin";
import { all, declared as base } from "./gates/asked";
import { settingsOf, withEngine } from "./module/harness";

const declared: Declared = {
  ...base,
  env: { API_HEADER: "Authorization: Bearer of-a-patient", BROKEN_HEADER: "of-a-patient" },
  backup: { ...base.backup, directory: join(tmpdir(), "guardian-gates") },
};

/** What checks say, by name; asked as the migrator. */
async function asked(login: Login, names: readonly string[], by: Partial<Declared>, before: Outcome[] = []) {
  const host = new Database(settingsOf(login));
  try {
    const outcomes: Outcome[] = [];
    for (const name of names) {
      const check = all.find((one) => one.name === name);
      if (!check) throw new Error(`there is no check ${name}`);
      outcomes.push(
        await runCheck(check, host, { ...declared, ...by }, new Map(before.map((one) => [one.check, one]))),
      );
    }
    return outcomes;
  } finally {
    await host.close();
  }
}

const verdicts = (outcomes: readonly Outcome[]): string[] => [...new Set(outcomes.map(({ verdict }) => verdict))];

/** What a FHIR server of R4 says of itself, as small as it may be. */
const capabilities = {
  resourceType: "CapabilityStatement",
  status: "active",
  date: "2026-11-30",
  kind: "instance",
  implementation: { description: "a double" },
  fhirVersion: "4.0.1",
  format: ["json"],
  rest: [{ mode: "server" }],
};

/** An application on this machine: what it answers by path, and what it was asked. */
async function withApplication(work: (url: string, requests: IncomingMessage[]) => Promise<void>): Promise<void> {
  const requests: IncomingMessage[] = [];
  const answers: Record<string, [status: number, body: unknown]> = {
    "/ok": [200, "row of a patient"],
    "/gone": [503, "row of a patient"],
    "/fhir/metadata": [200, capabilities],
    "/r5/metadata": [200, { ...capabilities, fhirVersion: "5.0.0" }],
    "/patient/metadata": [200, { resourceType: "Patient", name: "row of a patient" }],
    "/page/metadata": [200, "<html>"],
  };
  const server = createServer((request, response) => {
    requests.push(request);
    const path = request.url ?? "";
    if (path === "/silent") return;
    if (path === "/moved") response.writeHead(302, { location: "/ok" }).end();
    else if (path === "/mine")
      response.writeHead(request.headers.authorization === "Bearer of-a-patient" ? 200 : 401).end();
    else {
      const [status, body] = answers[path] ?? [404, ""];
      response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe("gates: endpoints", function () {
  this.timeout(60_000);

  it("19-7 are asked by GET, with a header that nobody sees; each that fails is named by what it did", () =>
    withV6((db) =>
      withApplication(async (url, requests) => {
        const endpoint = (path: string, status = 200, header?: string) => ({
          ...{ url: `${url}${path}`, status },
          ...(header === undefined ? {} : { header: `env:${header}` }),
        });
        const ask = async (...endpoints: ReturnType<typeof endpoint>[]): Promise<Outcome> => {
          const [outcome] = await asked(db.migrator, ["api-endpoints"], { endpoints, env: declared.env }, before);
          if (!outcome) throw new Error("no outcome");
          return outcome;
        };
        let before: Outcome[] = [];
        const good = [
          endpoint("/ok"),
          endpoint("/mine", 200, "API_HEADER"),
          endpoint("/moved", 302),
          endpoint("/none", 404),
        ];
        const passed = await ask(...good);
        expect(passed.verdict, passed.evidence.join("; ")).to.equal("passed");
        expect(passed.figures).to.include({ endpoints: 4, failing: 0 });
        expect(requests.map(({ method, url: path }) => `${method ?? ""} ${path ?? ""}`).sort()).to.deep.equal([
          "GET /mine",
          "GET /moved",
          "GET /none",
          "GET /ok",
        ]);
        before = [passed];
        const failed = await ask(
          ...[...good, endpoint("/gone"), endpoint("/moved"), endpoint("/mine"), endpoint("/mine", 200, "NO_HEADER")],
          ...[endpoint("/mine", 200, "BROKEN_HEADER"), { url: "http://127.0.0.1:1/", status: 200 }],
        );
        expect(failed.verdict).to.equal("failed");
        // What has no header to send, or gives no answer, says nothing of the application.
        expect(failed.figures).to.include({ endpoints: 10, failing: 6, answeredWrong: 3 });
        expect(failed.evidence).to.deep.equal([
          "4 of 10 respond",
          `${url}/gone: answered 503 in place of 200`,
          `${url}/moved: answered 302 in place of 200`,
          `${url}/mine: answered 401 in place of 200`,
          `${url}/mine: the variable NO_HEADER with its header is not set`,
          `${url}/mine: the variable BROKEN_HEADER holds no header, one line such as Authorization: Bearer …`,
          "http://127.0.0.1:1/: ECONNREFUSED",
          `before the migration: passed, ${passed.evidence[0] ?? ""}`,
        ]);
        const unasked = await ask(endpoint("/ok"), endpoint("/mine", 200, "NO_HEADER"));
        expect(unasked).to.deep.include({ verdict: "could not run" });
        expect(unasked.figures).to.include({ failing: 1, answeredWrong: 0 });
        before = [failed];
        const asBefore = await ask(endpoint("/ok"), endpoint("/gone"));
        expect(asBefore).to.deep.include({ verdict: "failed" });
        expect(asBefore.figures, "as wrong as before").to.include({ failing: 1, answeredWrong: 0 });
        expect((await ask(endpoint("/ok", 201))).figures, "wrong since").to.include({ failing: 1, answeredWrong: 1 });
        expect(JSON.stringify([passed, failed]))
          .not.to.include("of-a-patient")
          .and.not.to.include("row of");
      }),
    ));

  it("19-7 are waited for no longer than their time, twice, and read no further than fits", () =>
    withApplication(async (url, requests) => {
      const silent = await ask({ url: `${url}/silent`, status: 200 }, {}, true, 50);
      expect(silent).to.deep.include({ status: 0, failure: "no answer within 0.05 s" });
      expect(requests.map(({ url: path }) => path)).to.deep.equal(["/silent", "/silent"]);
    }));

  it("19-7 FHIR's is one whose answer is a CapabilityStatement of R4", () =>
    withEngine(
      (_engine, db) =>
        withApplication(async (url) => {
          const ask = async (...paths: string[]): Promise<string> => {
            const endpoints = paths.map((path) => ({ url: `${url}${path}`, status: 200 }));
            const [found] = await asked(db.migrator, ["external-systems"], { endpoints });
            return `${found?.verdict ?? ""}: ${found?.evidence.join("; ") ?? ""}`.replaceAll(url, "");
          };
          expect(await ask("/ok", "/fhir/metadata")).to.match(/^passed: 1 of 1 respond/);
          for (const [path, fault] of [
            ["/r5/metadata", "its CapabilityStatement is not of R4 (fhirVersion 4.0.1)"],
            ["/patient/metadata", "its answer is no CapabilityStatement"],
            ["/page/metadata", "its answer is no JSON"],
            ["/none/metadata", "answered 404 in place of 200"],
          ] as const)
            expect(await ask("/fhir/metadata", path)).to.equal(`failed: 1 of 2 respond; ${path}: ${fault}`);
        }),
      { modules: ["000_audit_log"] },
    ));

  long("19-7 the double's CapabilityStatement is one by Medplum's validator, and FHIR's own definitions", () => {
    expect(problems(capabilities)).to.deep.equal([]);
    expect(problems({ ...capabilities, status: "nonsense", kind: undefined })).not.to.deep.equal([]);
  });
});

describe("gates: what people sign off", function () {
  this.timeout(60_000);
  const items = Object.keys(signOffs) as SignOffItem[];
  const signed = (on: string): Record<string, SignOff> =>
    Object.fromEntries(items.map((item) => [item, { by: "A. Lovelace", on, note: "tried with seven users" }]));

  it("19-8 warns where it is missing, fails where the stack is strict, passes once it is signed; a day to come signs nothing, nor one before v7", () =>
    withEngine(
      async (_engine, db) => {
        const others = items.filter((item) => item !== "user-acceptance" && item !== "user-experience");
        const untried = await asked(db.migrator, items, { strict: true });
        expect(
          untried.filter(({ verdict }) => verdict === "failed").map(({ check }) => check),
          "no flag is on",
        ).to.deep.equal(others);
        expect(verdicts(untried.filter(({ verdict }) => verdict !== "failed"))).to.deep.equal(["not applicable"]);
        const admin = await db.connect("admin");
        // For a user by name, as pilots are.
        await admin.query(
          "UPDATE feature_flags SET enabled = true, enabled_for_users = ARRAY(SELECT id FROM auth.users LIMIT 1) WHERE feature_name = 'fhir_integration'",
        );
        const missing = await asked(db.migrator, items, {});
        expect(verdicts(missing)).to.deep.equal(["warned"]);
        expect(missing.map(({ evidence }) => evidence)).to.deep.equal(
          items.map((item) => [`nobody has signed off that ${signOffs[item]}`]),
        );
        expect(missing[0]?.mend?.[0]).to.contain("config set --path guardian:signOff.api-endpoints.by …");
        expect(verdicts(await asked(db.migrator, items, { strict: true }))).to.deep.equal(["failed"]);
        const today = (await admin.query<{ day: string }>("SELECT current_date::text AS day")).rows[0]?.day ?? "";
        const passed = await asked(db.migrator, items, { strict: true, signOff: signed(today) });
        expect(verdicts(passed)).to.deep.equal(["passed"]);
        expect(passed[0]?.evidence).to.deep.equal([`A. Lovelace, ${today}: tried with seven users`]);
        const old = await asked(db.migrator, items, { strict: true, signOff: signed("2026-01-02") });
        expect(old.filter(({ verdict }) => verdict === "passed").map(({ check }) => check)).to.deep.equal([
          "documentation-updated",
          "support-trained",
        ]);
        expect(old[0]?.evidence[1]).to.equal("on that day there was nothing of v7 yet");
        const early = await asked(db.migrator, items, { strict: true, signOff: signed("2126-01-02") });
        expect(verdicts(early)).to.deep.equal(["failed"]);
        expect(early[0]?.evidence[1]).to.equal("that day is still to come");
      },
      { modules: ["000_audit_log", "001_feature_flags", "004_enhanced_consent"] },
    ));

  it("19-8 is asked of nobody where nothing of v7 is there", () =>
    withV6(async (db) =>
      expect(verdicts(await asked(db.migrator, items, { strict: true }))).to.deep.equal(["not applicable"]),
    ));
});

describe("gates: the guide's checklists and criteria", function () {
  this.timeout(60_000);

  it("19-8 has every line of the guide, each answered by checks that there are", () => {
    const names = new Set(all.map(({ name }) => name));
    for (const { line, checks } of guide) for (const check of checks) expect(names, line).to.include(check);
    const sections = [...new Set(guide.map(({ section }) => section))];
    const sized = sections.map((wanted) => [wanted, guide.filter(({ section }) => section === wanted).length]);
    expect(sized).to.deep.equal([
      ["6.1", 5],
      ["6.2", 5],
      ["6.3", 7],
      ["8", 7],
      ["8, rollback", 5],
    ]);
    const answering = new Set(guide.flatMap(({ checks }) => checks));
    for (const item of Object.keys(signOffs)) expect(answering, "a sign-off that no line asks for").to.include(item);
    expect(
      guide.filter(({ checks }) => checks.length === 0).map(({ line }) => line),
      "answered by nothing",
    ).to.deep.equal([]);
    const page = readFileSync(join(root, "docs", "gates.md"), "utf8").replace(/ +/g, " ");
    for (const { section, line } of guide) expect(page).to.contain(`| ${section} | ${line} |`);
  });

  it("19-8 a criterion is as good as the worst of its checks; one that was not asked could not run", () => {
    const outcome = (check: string, verdict: Outcome["verdict"]): Outcome => ({
      check,
      verdict,
      evidence: [`of ${check}`],
      seconds: 0,
    });
    const about = (criteria: readonly Criterion[], wanted: string): string | undefined =>
      criteria.find(({ criterion }) => criterion === wanted)?.verdict;
    const security = guide.find(({ line }) => line === "Security vulnerability discovered")?.checks ?? [];
    expect(security).to.include("row-security");
    const found = (last: Outcome["verdict"]): Criterion[] =>
      summarize([
        ...security.map((check, i) => outcome(check, i === security.length - 1 ? last : "passed")),
        ...[outcome("user-acceptance", "warned"), outcome("api-endpoints", "passed")],
      ]);
    for (const verdict of ["passed", "warned", "could not run", "failed"] as const) {
      expect(about(found(verdict), "All security controls operational")).to.equal(verdict);
      expect(about(found(verdict), "Security vulnerability discovered")).to.equal(verdict);
    }
    expect(about(found("passed"), "User acceptance testing passed")).to.equal("warned");
    expect(about(found("passed"), "Critical functionality broken"), "external-systems was not asked").to.equal(
      "could not run",
    );
    expect(about(found("passed"), "Data loss > 0.1%")).to.equal("could not run");
    const lines = criteriaLines(found("failed"));
    expect(lines).to.include("warned          User acceptance testing passed: user-acceptance of user-acceptance");
    const said = security.map((one, i) => `${one} ${i === security.length - 1 ? "" : "passed, "}of ${one}`).join("; ");
    expect(lines).to.include(`failed          Security vulnerability discovered: ${said}`);
  });

  it("19-8 ends what npm run gates says, and stands in its JSON", () =>
    withV6(async (db) => {
      const folder = mkdtempSync(join(tmpdir(), "guardian-criteria-"));
      const { host, port, user, password, database } = db.migrator;
      writeFileSync(
        join(folder, "Pulumi.night.yaml"),
        `config:\n  guardian:database: {host: ${host}, port: ${port}, user: ${user}, database: ${database}}\n  guardian:signOff:\n    support-trained: {by: A. Lovelace, on: 2026-11-30, note: a course of two days}\n`,
      );
      const [said, printed]: [string[], string[]] = [[], []];
      const around = {
        clone: folder,
        env: { ...process.env, PGPASSWORD: password },
        say: (line: string) => void said.push(line),
        print: (line: string) => void printed.push(line),
      };
      try {
        await main(["--stack", "night", "--json", "--stage", "end"], around);
        const { criteria } = JSON.parse(printed.at(-1) ?? "") as { criteria: Criterion[] };
        expect(criteria.map(({ kind }) => kind).filter((kind) => kind === "success")).to.have.length(7);
        expect(criteria).to.have.length(12);
        expect(said.join("\n")).to.match(/It is complete when \(guide 8\):\nnot applicable {2}All v7 modules deployed/);
        expect(said.at(-2)).to.match(/^not applicable {2}User experience severely impacted: user-experience no module/);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }));
});
