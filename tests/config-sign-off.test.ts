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

  const day = "on does not fit: it must be a day, such as 2026-11-30";
  const signedOff: [what: string, given: Record<string, unknown>, said: string][] = [
    [
      "a sign-off by nobody",
      { by: undefined },
      "by is missing: it must be one line with a name, of at most 500 characters",
    ],
    ["a day that there is not", { on: "2026-02-30" }, day],
    ["a day in words", { on: "yesterday" }, day],
    [
      "a note of two lines",
      { note: "it is\nfine" },
      "note does not fit: it must be one line in words, of at most 500 characters",
    ],
    [
      "a note that is a placeholder",
      { note: "TODO" },
      "note is a placeholder, and would be kept as evidence: say it in your own words",
    ],
  ];
  for (const [what, given, said] of signedOff) {
    it(`19-8 refuses ${what}`, () =>
      expect(errorsOf({ signOff: { "user-acceptance": { ...signed, ...given } } })).to.deep.equal([
        `guardian:signOff.user-acceptance.${said}`,
      ]));
  }

  const answered = "has no effect: guardian:endpoints answers it";
  const items: [what: string, values: { signOff: Record<string, unknown>; endpoints?: object[] }, said: string][] = [
    [
      "an item that there is not",
      { signOff: { "user-acceptence": signed } },
      "is not known: the nearest known key is guardian:signOff.user-acceptance",
    ],
    [
      "a tick in the place of a sign-off",
      { signOff: { "support-trained": true } },
      "is no object: set its keys one by one, pulumi config set --path",
    ],
    ["what the endpoints are asked", { signOff: { "api-endpoints": signed }, endpoints: [api] }, answered],
    ["what FHIR's endpoint is asked", { signOff: { "external-systems": signed }, endpoints: [fhir] }, answered],
  ];
  for (const [what, values, said] of items) {
    it(`19-8 refuses a sign-off: ${what}`, () =>
      expect(errorsOf(values)).to.deep.equal([`guardian:signOff.${Object.keys(values.signOff).join()} ${said}`]));
  }

  const url = "it must be an https URL without user, query and fragment (http on this machine alone)";
  const list = "it must be a list of {url, status, header}";
  const endpoints: [what: string, given: unknown, said: string][] = [
    ["an endpoint that is asked twice", [api, fhir, api], "[2].url is asked already by the one before it"],
    ["an endpoint without an URL", [{ status: 200 }], `[0].url is missing: ${url}`],
    ["plain http elsewhere", [{ url: "http://api.example.org/" }], `[0].url does not fit: ${url}`],
    ["a password in an URL", [{ url: "https://u:secret@api.example.org/" }], `[0].url does not fit: ${url}`],
    ["a key in a query", [{ url: "https://api.example.org/?key=secret" }], `[0].url does not fit: ${url}`],
    [
      "a header that is written out, which is not shown",
      [{ ...api, header: "Authorization: Bearer secret" }],
      "[0].header does not fit: it must be env:NAME",
    ],
    [
      "a status that there is not",
      [{ ...api, status: 20 }],
      "[0].status is 20: it must be a whole number from 100 to 599",
    ],
    [
      "an unknown key",
      [{ ...api, headers: "env:X" }],
      "[0].headers is not known: the nearest known key is guardian:endpoints[0].header",
    ],
    ["one URL in the place of a list", api, ` does not fit: ${list}`],
    ["an URL in the place of an object", [api.url], ` has something else at [0]: ${list}`],
  ];
  for (const [what, given, said] of endpoints) {
    it(`19-7 refuses ${what}`, () =>
      expect(errorsOf({ endpoints: given })).to.deep.equal([`guardian:endpoints${said}`]));
  }
});
