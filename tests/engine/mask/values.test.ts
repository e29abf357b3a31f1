import { expect } from "chai";
import { maskElements, maskLine, maskRows } from "../../../engine/mask/copy";
import { readRules } from "../../../engine/mask/file";
import { maskJson } from "../../../engine/mask/json";
import { masksOf } from "../../../engine/mask/plan";
import type { Declared } from "../../../engine/mask/schema";
import { Masker } from "../../../engine/mask/values";

const masker = new Masker(2026);
const ann = "a0000000-0000-4000-8000-00000000000a";
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const code = /^m[a-z2-7]{15}$/;

describe("what stands in the place of a value", () => {
  it("17-7 of a text no letter and no digit stays; its length, case, blanks and punctuation do", () => {
    const text = "Dr. Ann O'Neil, 12 Elm St.\n+49 (0)30-5550192 <ann@x.org> zZaA09";
    const masked = masker.text(text);
    expect(masked).to.have.lengthOf(text.length);
    Array.from(text).forEach((was, i) => {
      const is = masked[i] ?? "";
      if (/[a-z]/.test(was)) expect(is).to.match(/[a-z]/).and.not.equal(was);
      else if (/[A-Z]/.test(was)) expect(is).to.match(/[A-Z]/).and.not.equal(was);
      else if (/\d/.test(was)) expect(is).to.match(/\d/).and.not.equal(was);
      else expect(is).to.equal(was);
    });
    expect(masker.text("")).to.equal("");
  });

  it("17-7 of a text what is not ASCII becomes one letter a character, so that no bound of characters or bytes is passed", () => {
    const text = "Žofie Müller-Østergård 山田 😀\u2028";
    const masked = masker.text(text);
    expect(masked).to.match(/^[\x20-\x7e]+$/);
    expect(Array.from(masked)).to.have.lengthOf(Array.from(text).length);
    expect(masked).not.to.match(/ofie|ller/);
  });

  it("17-7 the same value becomes the same within a run, and another in the next", () => {
    for (const rule of ["uuid", "id", "text", "name", "email", "phone", "contact", "url", "code", "bigint"] as const) {
      const value = rule === "bigint" ? "4711" : rule === "uuid" ? ann : "Ann Smith";
      expect(masker[rule](value), rule).to.equal(masker[rule](value)).and.not.equal(value);
      expect(new Masker(2026)[rule](value), rule).not.to.equal(masker[rule](value));
    }
  });

  it("17-7 what is the same but for how it is written becomes that too: who compares finds it, and a unique key takes both", () => {
    const [lower, mixed] = [masker.email("ann@x.org"), masker.email("Ann@X.org")];
    expect(mixed.toLowerCase()).to.equal(lower);
    expect(mixed).not.to.equal(lower);
    const written = ["+4930555", "+49 30 555", "+49-30-555", "+49 (30) 555"].map((number) => masker.phone(number));
    expect(new Set(written).size, written.join()).to.equal(4);
    expect(new Set(written.map((number) => number.replace(/[^+\d]/g, ""))).size, written.join()).to.equal(1);
    expect(masker.phone("030 555 Ann"))
      .to.match(/^999\d{15}$/)
      .and.not.equal(masker.phone("030 555 Bob"));
  });

  it("17-7 an id is the same wherever it stands: alone, in a path, a reference, a key of two, JSON", () => {
    const other = masker.uuid(ann);
    expect(other).to.match(uuid).and.not.equal(ann);
    expect(masker.uuid(ann.toUpperCase())).to.equal(other);
    expect(masker.id(ann)).to.equal(other);
    expect(masker.id(`${ann}-heart-rate`)).to.equal(`${other}-heart-rate`);
    expect(masker.id(`urn:uuid:${ann}`)).to.equal(`urn:uuid:${other}`);
    expect(masker.id(`Patient/${ann}`)).to.equal(`Patient/${other}`);
    expect(masker.id(`${ann},3`)).to.equal(`${other},3`);
    expect(masker.text(`${ann}/17_x.pdf`)).to.match(new RegExp(`^${other}/\\d\\d_[a-z]\\.[a-z]{3}$`));
    expect(masker.id("pat-17")).to.match(code);
    expect(masker.id("Patient/pat-17")).to.equal(`Patient/${masker.id("pat-17")}`);
    expect(masker.id("Smith/Ann"), "what is no FHIR resource").to.match(code);
    expect(maskJson(masker, '"Smith/Ann"', new Set())).to.equal(JSON.stringify(masker.text("Smith/Ann")));
    expect(masker.id("17"), "a small number by itself is somebody's").to.match(code);
    const json = JSON.stringify({ id: "pat-17", subject: { reference: "Patient/pat-17" }, account: ann });
    expect(JSON.parse(maskJson(masker, json, new Set()))).to.deep.equal({
      id: masker.id("pat-17"),
      subject: { reference: `Patient/${masker.id("pat-17")}` },
      account: other,
    });
  });

  it("17-7 an id is none that stays as a key of JSON, nor within the word of a code", () => {
    const id = "abcd1234-ab12-4c3d-8e4f-ab1c2d3e4f5a";
    const json = JSON.stringify({ [id]: { address_line1: 1 }, [`doc-${id}`]: 1, system: `https://x.org/p/${id}` });
    const masked = maskJson(masker, json, new Set(["system"]));
    expect(masked).not.to.contain(id);
    expect(JSON.parse(masked)).to.have.nested.property(`${masker.uuid(id)}.address_line1`, 1);
    expect(masked).to.match(/"system": "https:\/\/m[a-z2-7]{15}\.masked\.invalid"/);
  });

  it("17-7 names, addresses, numbers and links lead nowhere", () => {
    expect(masker.name("Ann Mary  O'Neil")).to.match(/^[A-Z][a-z]{3,5} [A-Z][a-z]{3,5} [A-Z][a-z]{3,5}$/);
    expect(masker.name("")).to.equal("");
    expect(masker.email("ann@x.org")).to.match(/^m[a-z2-7]{15}@masked\.invalid$/);
    expect(masker.phone("+49 30 5550192")).to.match(/^\+99 9\d \d{14}$/);
    expect(masker.phone("030/5550192")).to.match(/^999\d{15}$/);
    expect(masker.contact("ann@x.org")).to.equal(masker.email("ann@x.org"));
    expect(masker.contact("+49 (30) 55-5")).to.equal(masker.phone("+49 (30) 55-5"));
    expect(masker.contact("fcm:Zx81")).to.match(code);
    expect(masker.url("https://ann.x.org:8443/Patient/17?name=ann#x")).to.match(
      /^https:\/\/m[a-z2-7]{15}\.masked\.invalid$/,
    );
    expect(masker.url("no link")).to.match(code);
  });

  it("17-7 a figure, a language and a time zone stay where they are one", () => {
    for (const value of ["5.4", "<5", "120/80", "> 7,2", "-3", "98 %"]) expect(masker.figure(value)).to.equal(value);
    for (const value of ["5550192", "5.4 Ann", "12345", "positive"]) expect(masker.figure(value)).not.to.equal(value);
    for (const value of ["en", "en-AU", "de_DE", "zh-Hant-TW"]) expect(masker.language(value)).to.equal(value);
    for (const value of ["Xqz", "en-Ann Smith", "english"]) expect(masker.language(value)).not.to.equal(value);
    for (const value of ["UTC", "Europe/Berlin"]) expect(masker.timezone(value)).to.equal(value);
    for (const value of ["Ann", "Europe/Annstadt"]) expect(masker.timezone(value)).not.to.equal(value);
  });

  it("17-7 of a date the year stays, and of who is more than 89 not even that", () => {
    const years: Record<string, string> = {
      "1980-03-02": "1980-01-01",
      "1980-03-02 12:34:56.789+02": "1980-01-01 00:00:00+00",
      "1980-03-02 12:34:56": "1980-01-01 00:00:00",
      "1936-12-31": "1936-01-01",
      "1935-12-31": "1936-01-01",
      "0044-03-15 BC": "1936-01-01",
      "12024-01-05": "12024-01-01",
      infinity: "infinity",
    };
    for (const [was, is] of Object.entries(years)) expect(masker.year(was), was).to.equal(is);
    const inText: Record<string, string | undefined> = {
      "1980-03-02": "1980-01-01",
      "1980-03": "1980-01",
      "1901-03": "1936-01",
      "1980-03-02T12:34:56+02:00": "1980-01-01T00:00:00Z",
      "1980-03-02 12:34": "1980-01-01 00:00:00+00",
      "1980-13": undefined,
      "1980": undefined,
      "1234-05": undefined,
    };
    for (const [was, is] of Object.entries(inText)) expect(masker.dateInText(was), was).to.equal(is);
  });

  it("17-7 bytes are as many others", () => {
    expect(masker.bytes("\\x00ff10"))
      .to.match(/^\\x[0-9a-f]{6}$/)
      .and.not.equal("\\x00ff10");
    expect(masker.bytes("\\x")).to.equal("\\x");
    // As a database with bytea_output = escape writes them: a byte is a sign, two backslashes, or three octal figures.
    for (const [value, many] of [
      ["Bob", 3],
      ["\\377a\\\\x", 4],
      ["\\\\x41", 4],
      ["", 0],
    ] as const) {
      const masked = masker.bytes(value);
      expect(masked, value).to.match(new RegExp(`^(\\\\[0-7]{3}|\\\\\\\\|[ -\\[\\]-~]){${many}}$`));
      if (many > 0) expect(masked).not.to.equal(value);
    }
  });

  it("17-7 of JSON the shape stays, and the words of a code under the keys that are listed", () => {
    const json =
      '{"resourceType": "Patient", "status": "Ann is well", "name": [{"given": ["Ann", "Mary"]}], "active": true, "mrn": 4711002,' +
      ' "ratio": 0.50, "big": 9007199254740993, "small": 1234, "neg": -98765.25, "x": null, "birthDate": "1980-03-02", "none": [],' +
      ' "mail": "ann@x.org", "link": "https://x.org/ann", "system": "http://loinc.org", "Ann Smith": {"k": "\\"q\\\\"}}';
    const masked = maskJson(masker, json, new Set(["resourceType", "status", "system", "birthDate"]));
    const value = JSON.parse(masked) as Record<string, unknown>;
    const keys = Object.keys(JSON.parse(json) as object).map((key) => (key === "Ann Smith" ? masker.text(key) : key));
    expect(Object.keys(value), "shorter keys first, as jsonb has them").to.deep.equal(
      keys.sort((a, b) => a.length - b.length || (a < b ? -1 : 1)),
    );
    expect(value).to.deep.include({
      resourceType: "Patient",
      active: true,
      ratio: 0.5,
      small: 1234,
      x: null,
      birthDate: "1980-01-01",
      none: [],
      mail: masker.email("ann@x.org"),
      link: masker.url("https://x.org/ann"),
      system: "http://loinc.org",
      status: masker.text("Ann is well"),
    });
    expect(masked).to.contain('"ratio": 0.50');
    expect(masked).to.contain('"name": [{"given": ["').and.contain('"none": [], ');
    expect(maskJson(masker, '{"b":1,"a":[true, null ]}', new Set())).to.equal('{"b": 1, "a": [true, null]}');
    for (const broken of ["", "{", "[1", '{"a" 1}'])
      expect(() => maskJson(masker, broken, new Set()), broken).to.throw(SyntaxError);
    expect(masked)
      .to.match(/"mrn": 1\d{6}, /)
      .and.match(/"big": 1\d{15}, /)
      .and.match(/"neg": -1\d{4}\.\d\d, /);
    expect(masked).not.to.match(/Ann|Mary|Smith|4711002|9007199254740993|98765/);
    expect(maskJson(masker, '"Ann"', new Set())).to.equal(JSON.stringify(masker.text("Ann")));
  });

  it("17-7 what a person wrote into JSON stays under no key, nor does a key that he wrote", () => {
    const rules = readRules();
    const masked = (table: string, column: string, json: string): string => {
      const rule = rules.columns.get(table)?.get(column);
      const declared = { kind: "json", type: "jsonb", array: false, notNull: true } as const;
      if (rule === undefined || rule === "keep") throw new Error("has no rule that masks");
      return masksOf([{ rule, declared }], masker, rules)[0]?.(json) ?? "";
    };
    const his =
      '{"code": "JaneSmith", "state": "Rivendell", "a": true, "b": 1, "JaneSmith": null, "name": {"id": "x"}, "weight": "Smith", "timezone": "Jane"}';
    const preferences = ["preferred_units", "quiet_hours", "dashboard_layout", "emergency_contacts"];
    for (const [table, ...columns] of [
      ["auth.users", "raw_user_meta_data"],
      ["public.user_preferences", ...preferences],
      ["public.patient_consents", "consent_evidence"],
    ] as const) {
      for (const column of columns) {
        const sealed = masked(table, column, his);
        expect(sealed, column).not.to.match(/Jane|Smith|Rivendell|code|state/);
        const [was, is] = [JSON.parse(his) as object, JSON.parse(sealed) as object];
        expect(Object.keys(is).length, "no two keys became one").to.equal(Object.keys(was).length);
      }
    }
    const quiet = '{"end": "08:00", "start": "22:00", "enabled": true, "timezone": "Europe/Berlin"}';
    expect(masked("public.user_preferences", "quiet_hours", quiet)).to.equal(quiet);
    const units = '{"height": "cm", "weight": "kg", "glucose": "mg/dL"}';
    expect(masked("public.user_preferences", "preferred_units", units)).to.equal(units);
    expect(masked("public.documents", "medical_data", '{"code": "718-7"}')).to.equal('{"code": "718-7"}');
    expect(masked("public.documents", "medical_data", '{"start": "05.03.1950"}')).not.to.contain("1950");
    expect(masked("public.patient_consents", "consent_metadata", '{"state": "expired"}')).to.contain('"expired"');
  });

  it("17-7 of what no person writes neither a place nor a number stays: of a state the product's words, of codes those that nobody has for himself", () => {
    const rules = readRules();
    const declared = { kind: "json", type: "jsonb", array: false, notNull: true } as const;
    const mask = masksOf([{ rule: "coded", declared }], masker, rules)[0] ?? String;
    const stays = (value: object): boolean => mask(JSON.stringify(value)) === JSON.stringify(value).replace(":", ": ");
    for (const state of ["pending", "refused", "expired", "granted", "revoked"])
      expect(stays({ state }), state).to.equal(true);
    for (const state of ["Rivendell", "BY", "Ann-Smith"]) expect(stays({ state }), state).to.equal(false);
    const codes = ["718-7", "29463-7", "E11.9", "S72.0012", "final", "mm[Hg]", "http://hl7.org/fhir/sid/icd-10"];
    codes.push("http://terminology.hl7.org/CodeSystem/v2-0203");
    for (const code of codes) expect(stays({ code }), code).to.equal(true);
    for (const code of ["4711002", "MRN-47110", "0049-30-5550192", "1950.03.05", "12345678-9", "A123456"])
      expect(stays({ code }), code).to.equal(false);
    expect(mask('{"system": "urn:oid:2.16.840.1.4711002"}'), "as v7 wants a system").to.match(
      /^\{"system": "urn:[a-z]{3}:\d\.\d\d\.\d{3}\.\d\.\d{7}"\}$/,
    );
    expect(mask('{"system": "urn:oid:2.16.840.1.4711002"}')).not.to.contain("4711002");
    const address = mask('{"resourceType": "Patient", "address": [{"city": "Bree", "state": "Rivendell"}]}');
    expect(address)
      .to.contain('"resourceType": "Patient"')
      .and.not.match(/Bree|Rivendell/);
  });

  it("17-7 what a column's CHECK takes is not passed: text is cut, and of JSON that became longer only its kind stays", () => {
    const column = { array: false, notNull: true } as const;
    const of = (rule: "id" | "sealed", declared: Declared): ((value: string) => string | null) =>
      masksOf([{ rule, declared }], masker, readRules())[0] ?? String;
    expect(of("id", { ...column, kind: "text", type: "text", limit: 8 })("4711")).to.match(/^m[a-z2-7]{7}$/);
    const json: Declared = { ...column, kind: "json", type: "jsonb", bytes: 30 };
    expect(of("sealed", json)('{"a": "b", "c": "d"}')).to.equal("{}");
    expect(of("sealed", json)('["a@b.c", "d"]')).to.equal("[]");
    expect(of("sealed", json)('{"a": true}')).to.match(/^\{"m[a-z2-7]{15}": true\}$/);
  });

  it("17-7 lines of COPY are read and written with their escapes, NULL stays NULL, and what stays is not touched", () => {
    const shout = (value: string): string => value.toUpperCase();
    const text = "a\\tb\\nc\\\\d\t\\N\tx\\ty\t";
    expect(maskLine(text, [shout, shout, undefined, shout])).to.equal("A\\tB\\nC\\\\D\t\\N\tx\\ty\t");
    expect(maskLine("a", [() => null])).to.equal("\\N");
    expect(maskLine("a\tb", [shout])).to.equal(undefined);
    expect(maskLine("", [])).to.equal("");
  });

  it("17-7 elements of arrays are masked one by one, however deep, whatever is in them", () => {
    const mark = (value: string): string => `${value}!`;
    expect(maskElements("{}", mark)).to.equal("{}");
    expect(maskElements('{a,"b c",NULL,"NULL","q\\"\\\\,{}",""}', mark)).to.equal(
      '{a!,"b c!",NULL,NULL!,"q\\"\\\\,{}!",!}',
    );
    expect(maskElements("[0:1][2:3]={{a,b},{c,d}}", mark)).to.equal("[0:1][2:3]={{a!,b!},{c!,d!}}");
    expect(maskElements('{a,"",b}', (value) => (value === "a" ? "null" : ""))).to.equal('{"null","",""}');
  });

  it("17-7 rows are the same however the file comes in pieces, and a line that is no row is told by its number alone", async () => {
    const file = "Ann ö\t1\nBob\t2\n\\.\n\n\n";
    const masked = async (size: number, text = file): Promise<string> => {
      const bytes = Buffer.from(text);
      async function* pieces(): AsyncGenerator<Buffer> {
        for (let at = 0; at < bytes.length; at += size) yield Promise.resolve(bytes.subarray(at, at + size));
      }
      const counted = { rows: 0 };
      const out: Buffer[] = [];
      const upper = (value: string): string => value.toUpperCase();
      for await (const piece of maskRows(pieces(), [upper, undefined], "utf8", counted)) out.push(piece);
      return `${counted.rows} ${Buffer.concat(out).toString()}`;
    };
    for (const size of [1, 3, 7, 1000]) expect(await masked(size)).to.equal("2 ANN Ö\t1\nBOB\t2\n\\.\n\n\n");
    const failed = (await masked(5, "Ann\t1\nAnn\n").catch((err: unknown) => err)) as Error;
    expect(failed).to.be.instanceOf(RangeError);
    expect(failed.message).to.equal("2");
    expect(await masked(4, "Ann\t1\ncut").catch((err: unknown) => String(err))).to.equal("RangeError: 2");
  });
});
