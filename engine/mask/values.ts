import { createHash, randomBytes } from "node:crypto";

/** A uuid as PostgreSQL writes it, within other text. */
const uuid = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}";
const uuids = new RegExp(`(${uuid})`);
/** What Guardian and FHIR make of an id: `<uuid>-heart-rate`, `urn:uuid:<uuid>`, `Patient/<id>`. */
const measure = new RegExp(`^(urn:uuid:)?(${uuid})((?:-[a-z]{1,24}){0,3})$`);
const reference = /^([A-Z][A-Za-z]{1,63})\/(\S+)$/;
/** Kinds of FHIR resources (R4) that references name. What else stands before a slash may be a name: `Smith/Ann`. */
const resources = new Set(
  `Account AllergyIntolerance Appointment Binary Bundle CarePlan CareTeam Condition Consent Coverage Device DiagnosticReport
  DocumentReference Encounter EpisodeOfCare Goal Group HealthcareService ImagingStudy Immunization Location Media Medication
  MedicationAdministration MedicationDispense MedicationRequest MedicationStatement Observation Organization Patient Person
  Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson ServiceRequest
  Specimen`.split(/\s+/),
);

const dated = /^((?:1[89]|2[01])\d\d)-(?:0[1-9]|1[0-2])(-(?:0[1-9]|[12]\d|3[01])(?:([T ]).*)?)?$/;
const figures = /^\s*[<>≤≥~]?=?\s*[+-]?\d{1,4}(?:[.,]\d{1,4})?(?:\s*\/\s*\d{1,4})?\s*%?\s*$/;
const code32 = "abcdefghijklmnopqrstuvwxyz234567";
const vowels = "aeiou";
const consonants = "bdfghklmnprstvz";

/** Nobody's: top level domains by RFC 2606; ITU-T keeps 999 as a country code for what may come. */
const nowhere = "masked.invalid";
const nobodysPrefix = "999";

/**
 * Puts other values in the place of a person's. Within one run the same value becomes the same; the salt is drawn for the
 * run, kept in memory only and gone with it, so that afterwards nobody, we included, tells which is which.
 */
export class Masker {
  readonly #salt = randomBytes(32);
  readonly #known = new Map<string, boolean>();

  /** @param asOf the year of the backup, by which ages are reckoned */
  constructor(private readonly asOf: number) {}

  #bytes(what: string, value: string, length: number): Buffer {
    const hash = createHash("shake256", { outputLength: length });
    return hash.update(this.#salt).update(`${what}\0`).update(value).digest();
  }

  /** A uuid of version 4. */
  uuid(value: string): string {
    const bytes = this.#bytes("id", value.toLowerCase(), 16);
    bytes[6] = (bytes.readUInt8(6) & 0x0f) | 0x40;
    bytes[8] = (bytes.readUInt8(8) & 0x3f) | 0x80;
    return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  /** A letter and 15 of 32 letters and figures: 75 bits, so that of a million none are the same. */
  code(value: string): string {
    return `m${[...this.#bytes("code", value, 15)].map((byte) => code32.charAt(byte & 31)).join("")}`;
  }

  bigint(value: string): string {
    return (this.#bytes("id", value, 8).readBigUInt64BE() >> 2n).toString();
  }

  /** Keys of several columns are joined by commas (audit_log.record_key): a small number among them is a version. */
  id(value: string): string {
    const parts = value.split(",");
    return parts.map((part) => (parts.length > 1 && /^\d{1,4}$/.test(part) ? part : this.#idOf(part))).join(",");
  }

  #idOf(part: string): string {
    const [, urn = "", id, suffix = ""] = measure.exec(part) ?? [];
    if (id !== undefined) return urn + this.uuid(id) + suffix;
    const [, kind = "", rest = ""] = reference.exec(part) ?? [];
    if (resources.has(kind)) return `${kind}/${this.#idOf(rest)}`;
    return part === "" ? "" : this.code(part);
  }

  /** Ids in it stay consistent with those in columns; all else is scrambled. */
  text(value: string): string {
    if (value.length < 36) return this.#scrambled(value);
    return value
      .split(uuids)
      .map((part, i) => (i % 2 === 1 ? this.uuid(part) : this.#scrambled(part)))
      .join("");
  }

  /** No letter and no digit stays what it was. What is not ASCII becomes one letter a character, so that no bound is passed. */
  #scrambled(value: string): string {
    if (value === "") return "";
    const shifts = this.#bytes("text", value, value.length);
    const out = Buffer.allocUnsafe(value.length);
    let length = 0;
    for (let i = 0; i < value.length; i++) {
      const at = value.charCodeAt(i);
      const shift = shifts[i] ?? 0;
      if (at >= 97 && at <= 122) out[length++] = 97 + ((at - 96 + (shift % 25)) % 26);
      else if (at >= 65 && at <= 90) out[length++] = 65 + ((at - 64 + (shift % 25)) % 26);
      else if (at >= 48 && at <= 57) out[length++] = 48 + ((at - 47 + (shift % 9)) % 10);
      else if (at < 128) out[length++] = at;
      // The second half of a character outside the first plane is part of the first.
      else if (at < 0xdc00 || at > 0xdfff) out[length++] = 97 + (shift % 26);
    }
    return out.toString("latin1", 0, length);
  }

  name(value: string): string {
    const words = value.split(/\s+/).filter((word) => word !== "");
    const bytes = this.#bytes("name", value, Math.max(words.length * 6, 1));
    return words.map((_, i) => syllables(bytes.subarray(i * 6, i * 6 + 6))).join(" ");
  }

  /**
   * The same but for its case where an address is the same but for its case: who compares either way finds what he found, and
   * a key that took both takes both.
   */
  email(value: string): string {
    if (value === "") return "";
    const [lower, bytes] = [value.toLowerCase(), this.#bytes("case", value, 16)];
    const code = this.code(lower);
    if (value === lower) return `${code}@${nowhere}`;
    const cased = Array.from(code, (letter, i) => (i === 0 || bytes.readUInt8(i) & 1 ? letter.toUpperCase() : letter));
    return `${cased.join("")}@${nowhere}`;
  }

  /** The digits are the same where a number's are, and what stands between them is where it was, for a key's sake. */
  phone(value: string): string {
    const known = /^\+?[\d ().-]*$/.test(value);
    const digits = value.replace(/\D/g, "");
    const number = this.#bytes("phone", known ? digits || value : value, 8).readBigUInt64BE() % 10n ** 15n;
    const others = Array.from(`${nobodysPrefix}${number.toString().padStart(15, "0")}`);
    if (!known) return `${value.startsWith("+") ? "+" : ""}${others.join("")}`;
    return (
      Array.from(value, (letter) => (/\d/.test(letter) ? (others.shift() ?? "") : letter)).join("") + others.join("")
    );
  }

  contact(value: string): string {
    if (value.includes("@")) return this.email(value);
    return /^[+]?[0-9 ().-]+$/.test(value) ? this.phone(value) : this.code(value);
  }

  url(value: string): string {
    const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(value)?.[0];
    return scheme === undefined ? this.code(value) : `${scheme}${this.code(value)}.${nowhere}`;
  }

  figure(value: string): string {
    return figures.test(value) ? value : this.text(value);
  }

  language(value: string): string {
    const tag = /^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}$/.test(value);
    const names = (): boolean =>
      new Intl.DisplayNames("en", { type: "language", fallback: "none" }).of(value.replaceAll("_", "-")) !== undefined;
    return tag && this.#knows(value, names) ? value : this.text(value);
  }

  timezone(value: string): string {
    const zone = (): boolean => Boolean(new Intl.DateTimeFormat("en", { timeZone: value }));
    return this.#knows(value, zone) ? value : this.text(value);
  }

  /** Asks once of each value; what throws says no. */
  #knows(value: string, ask: () => boolean): boolean {
    let known = this.#known.get(value);
    if (known === undefined) {
      try {
        known = ask();
      } catch {
        known = false;
      }
      if (this.#known.size < 10_000) this.#known.set(value, known);
    }
    return known;
  }

  /** Of a date or a time as PostgreSQL writes it in ISO style. Infinity is nobody's. */
  year(value: string): string {
    const [, year, time, zone] = /^(\d{4,})-\d\d-\d\d( [\d:.]+)?([+-][\d:]+)?/.exec(value) ?? [];
    if (year === undefined) return /^-?infinity$/.test(value) ? value : this.#oldest;
    const kept = value.endsWith(" BC") ? this.#oldest : this.#notOld(year);
    return `${kept}-01-01${time === undefined ? "" : ` 00:00:00${zone === undefined ? "" : "+00"}`}`;
  }

  get #oldest(): string {
    return String(this.asOf - 90);
  }

  #notOld(year: string): string {
    return Number(year) < this.asOf - 90 ? this.#oldest : year;
  }

  /** A date within JSON, as FHIR writes it, to its year. @returns undefined if it is none */
  dateInText(value: string): string | undefined {
    const [, year, day, time] = dated.exec(value) ?? [];
    if (year === undefined) return undefined;
    const rest = time === "T" ? "T00:00:00Z" : time === " " ? " 00:00:00+00" : "";
    return `${this.#notOld(year)}-01${day === undefined ? "" : "-01"}${rest}`;
  }

  /** Whether an id stands anywhere in a text: in a link, or a path. */
  holdsId(value: string): boolean {
    return uuids.test(value);
  }

  /** An id within JSON. @returns undefined if it is none */
  idInText(value: string): string | undefined {
    return measure.test(value) ? this.#idOf(value) : undefined;
  }

  /** A FHIR reference within JSON. @returns undefined if it is none */
  referenceInText(value: string): string | undefined {
    return resources.has(reference.exec(value)?.[1] ?? "") ? this.#idOf(value) : undefined;
  }

  /** A number of five digits or more, within JSON. Its size stays, so that what was an integer is one: it begins with 1. */
  number(value: string): string {
    const [mantissa = "", exponent = ""] = value.split(/(?=[eE])/);
    if (mantissa.replace(/\D/g, "").length < 5) return value;
    const shifts = this.#bytes("number", value, mantissa.length);
    const first = /[1-9]/.exec(mantissa)?.index ?? 0;
    const digits = Array.from(mantissa).map((digit, i) =>
      !/\d/.test(digit) || i < first
        ? digit
        : i === first
          ? "1"
          : String((Number(digit) + 1 + (shifts.readUInt8(i) % 9)) % 10),
    );
    return digits.join("") + exponent;
  }

  /** Bytes as PostgreSQL writes them: `\x` and hexadecimal figures, or as `bytea_output = escape` has them, and so back. */
  bytes(value: string): string {
    if (!value.startsWith("\\x")) {
      const many = value.match(/\\(?:\\|[0-7]{3})|[^\\]/g)?.length ?? 0;
      return many === 0 ? value : escaped(this.#bytes("bytes", value, many));
    }
    const length = Math.max((value.length - 2) >> 1, 0);
    return length === 0 ? value : `\\x${this.#bytes("bytes", value, length).toString("hex")}`;
  }
}

/** The escape format of bytea (manual, 8.4.2): a backslash twice, what cannot be printed as three octal figures. */
const escaped = (bytes: Buffer): string =>
  [...bytes]
    .map((byte) => {
      if (byte === 0x5c) return "\\\\";
      return byte < 0x20 || byte > 0x7e ? `\\${byte.toString(8).padStart(3, "0")}` : String.fromCharCode(byte);
    })
    .join("");

/** Two or three syllables of six bytes, with a capital. */
function syllables(bytes: Buffer): string {
  const count = 2 + (bytes.readUInt8(0) & 1);
  const word = [...bytes.subarray(1, 1 + count)]
    .map((byte) => consonants.charAt(byte % consonants.length) + vowels.charAt((byte >> 4) % vowels.length))
    .join("");
  return word.charAt(0).toUpperCase() + word.slice(1);
}
