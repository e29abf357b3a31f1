import { expect } from "chai";
import { validateConfig } from "../config";
import { consent, raw } from "./support/config";

const validate = (values: Record<string, unknown>) => validateConfig(raw({ legacyConsent: consent, ...values }));
const errorsOf = (values: Record<string, unknown>): string[] => validate(values).errors;

const signed = { by: "A. Lovelace", on: "2026-11-30", note: "tried with seven users" };
const api = { url: "https://api.example.org/health" };
const fhir = { url: "https://api.example.org/fhir/R4/metadata" };

describe("config: sign-offs and endpoints", () => {
  it("19-8 a sign-off has a name, a day and a note, of one of the items that there are", () => {
    const { config, errors } = validate({
      signOff: { "user-acceptance": signed, "support-trained": { ...signed, on: "2026-11-30 00:00:00 +0000 UTC" } },
    });
    expect(errors).to.deep.equal([]);
    expect(config?.signOff).to.deep.equal({ "user-acceptance": signed, "support-trained": signed });
  });

  it("19-7 an endpoint is one that must answer 200, unless it says otherwise; a list may come as JSON", () => {
    const endpoints = [{ ...api, status: "204", header: "env:API_HEADER" }, fhir, { url: "http://127.0.0.1:8080" }];
    for (const given of [endpoints, JSON.stringify(endpoints)]) {
      const { config, errors } = validate({ endpoints: given });
      expect(errors).to.deep.equal([]);
      expect(config?.endpoints).to.deep.equal([
        { ...api, status: 204, header: "env:API_HEADER" },
        { ...fhir, status: 200 },
        { url: "http://127.0.0.1:8080", status: 200 },
      ]);
    }
  });

  const url = "it must be an https URL without user, query and fragment (http on this machine alone)";
  const signOff = (given: Record<string, unknown>) => ({ signOff: { "user-acceptance": { ...signed, ...given } } });
  const refused: [what: string, values: Record<string, unknown>, error: string][] = [
    [
      "19-8 an item that there is not",
      { signOff: { "user-acceptence": signed } },
      "guardian:signOff.user-acceptence is not known: the nearest known key is guardian:signOff.user-acceptance",
    ],
    [
      "19-8 a sign-off by nobody",
      { signOff: { "support-trained": { on: signed.on, note: signed.note } } },
      "guardian:signOff.support-trained.by is missing: it must be one line with a name, of at most 500 characters",
    ],
    [
      "19-8 a tick in the place of a sign-off",
      { signOff: { "support-trained": true } },
      "guardian:signOff.support-trained is no object: set its keys one by one, pulumi config set --path",
    ],
    [
      "19-8 a day that there is not",
      signOff({ on: "2026-02-30" }),
      "guardian:signOff.user-acceptance.on does not fit: it must be a day, such as 2026-11-30",
    ],
    [
      "19-8 a day in words",
      signOff({ on: "yesterday" }),
      "guardian:signOff.user-acceptance.on does not fit: it must be a day, such as 2026-11-30",
    ],
    [
      "19-8 a note of two lines",
      signOff({ note: "it is\nfine" }),
      "guardian:signOff.user-acceptance.note does not fit: it must be one line in words, of at most 500 characters",
    ],
    [
      "19-8 a note that is a placeholder",
      signOff({ note: "TODO" }),
      "guardian:signOff.user-acceptance.note is a placeholder, and would be kept as evidence: say it in your own words",
    ],
    [
      "19-8 a sign-off of what the endpoints are asked",
      { signOff: { "api-endpoints": signed }, endpoints: [api] },
      "guardian:signOff.api-endpoints has no effect: guardian:endpoints answers it",
    ],
    [
      "19-8 a sign-off of what FHIR's endpoint is asked",
      { signOff: { "external-systems": signed }, endpoints: [fhir] },
      "guardian:signOff.external-systems has no effect: guardian:endpoints answers it",
    ],
    [
      "19-7 an endpoint that is asked twice",
      { endpoints: [api, fhir, api] },
      "guardian:endpoints[2].url is asked already by the one before it",
    ],
    [
      "19-7 an endpoint without an URL",
      { endpoints: [{ status: 200 }] },
      `guardian:endpoints[0].url is missing: ${url}`,
    ],
    [
      "19-7 plain http elsewhere",
      { endpoints: [{ url: "http://api.example.org/" }] },
      `guardian:endpoints[0].url does not fit: ${url}`,
    ],
    [
      "19-7 a password in an URL",
      { endpoints: [{ url: "https://u:secret@api.example.org/" }] },
      `guardian:endpoints[0].url does not fit: ${url}`,
    ],
    [
      "19-7 a key in a query",
      { endpoints: [{ url: "https://api.example.org/?key=secret" }] },
      `guardian:endpoints[0].url does not fit: ${url}`,
    ],
    [
      "19-7 a header that is written out, which is not shown",
      { endpoints: [{ ...api, header: "Authorization: Bearer secret" }] },
      "guardian:endpoints[0].header does not fit: it must be env:NAME",
    ],
    [
      "19-7 a status that there is not",
      { endpoints: [{ ...api, status: 20 }] },
      "guardian:endpoints[0].status is 20: it must be a whole number from 100 to 599",
    ],
    [
      "19-7 an unknown key",
      { endpoints: [{ ...api, headers: "env:X" }] },
      "guardian:endpoints[0].headers is not known: the nearest known key is guardian:endpoints[0].header",
    ],
    [
      "19-7 one URL in the place of a list",
      { endpoints: api },
      "guardian:endpoints does not fit: it must be a list of {url, status, header}",
    ],
    [
      "19-7 an URL in the place of an object",
      { endpoints: [api.url] },
      "guardian:endpoints has something else at [0]: it must be a list of {url, status, header}",
    ],
  ];
  for (const [what, values, error] of refused) {
    it(`refuses ${what}`, () => expect(errorsOf(values)).to.deep.equal([error]));
  }
});
