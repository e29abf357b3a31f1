import { expect } from "chai";
import type { Outcome } from "../../../../engine/gates/check";
import { ask } from "../../../../engine/gates/criteria/ask";
import { decide, type Decision } from "../../../../engine/gates/decide";
import { problems } from "../../../sql/003_fhir";
import { long } from "../../../support/long";
import { withV6 } from "../../../support/postgres";
import { withEngine } from "../../module/harness";
import { capabilities, withApplication } from "./application";
import { all } from "../asked";
import { asked, declared } from "./asked";

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

  it("19-7 what is accepted are those that failed, as they did: another one, or one that was not asked and answers wrongly now, voids it", () =>
    withV6((db) =>
      withApplication(async (url) => {
        const decided = async (
          header: string,
          paths: string[],
          before: Decision["accepted"] = {},
        ): Promise<Decision> => {
          const endpoints = paths.map((path) => ({ url: `${url}${path}`, status: 200, header: `env:${header}` }));
          const outcomes = await asked(db.migrator, ["api-endpoints"], { endpoints });
          expect(outcomes[0]?.figures).to.include({ failing: 1 });
          const rules = { gate: "before", strict: true, accept: { "api-endpoints": "known" } } as const;
          return decide(all, outcomes, rules, before, "2026-01-01");
        };
        const worse = ({ stops }: Decision): string[] =>
          stops.flatMap(({ since }) => since?.worse ?? []).map((line) => line.replaceAll(url, ""));
        const { accepted, stops } = await decided("NO_HEADER", ["/gone"]);
        expect(stops).to.deep.equal([]);
        expect((await decided("NO_HEADER", ["/gone"], accepted)).stops, "the same").to.deep.equal([]);
        expect(worse(await decided("API_HEADER", ["/ok", "/gone"], accepted)), "asked now").to.deep.equal([
          "api-endpoints: others than then: /gone: answered 503 in place of 200",
        ]);
        const failed = await decided("API_HEADER", ["/ok", "/gone"]);
        expect(worse(await decided("API_HEADER", ["/ok", "/none"], failed.accepted)), "another").to.deep.equal([
          "api-endpoints: others than then: /none: answered 404 in place of 200",
        ]);
      }),
    ));

  it("19-7 are waited for no longer than their time, twice, and read no further than fits", () =>
    withApplication(async (url, requests) => {
      const silent = await ask({ url: `${url}/silent`, status: 200 }, {}, true, 1000);
      expect(silent).to.deep.include({ status: 0, failure: "no answer within 1 s" });
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
