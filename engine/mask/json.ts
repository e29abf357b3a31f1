import type { Masker } from "./values";

const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/g;

/**
 * A word of a code, a unit or a path of elements; nothing with a blank, and no more than a line. Of few digits, as a key is: more
 * are the number of a record, a telephone or a day.
 */
const coded = /^(?!(?:\D*\d){5})[A-Za-z0-9][A-Za-z0-9._:/+%[\]-]{0,79}$/;
/** What has more digits and nobody has for himself: codes of LOINC and of ICD-10, and the names of HL7's tables. */
const published =
  /^(?:\d{1,5}-\d|[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?|http:\/\/terminology\.hl7\.org\/CodeSystem\/v2-\d{4})$/;
/** A key that a programmer wrote, of few digits: what is another may be a person's name or address, or an id. */
const programmed = /^(?!(?:\D*\d){5})[A-Za-z_$][A-Za-z0-9_$.-]{0,63}$/;

/** A time of day, which is nobody's. */
const timeOfDay = /^([01]\d|2[0-3]):[0-5]\d$/;

/** What else stays of JSON. */
interface Kept {
  readonly words?: ReadonlySet<string>;
  /** The keys that stay where a person may write any, a name too; absent: none of them is a person's. */
  readonly keys?: ReadonlySet<string>;
}

/**
 * Masks what is in JSON and leaves its shape: keys, booleans, null, how many there are of each, and every figure as it was
 * written, which JSON.parse would round. It is written as PostgreSQL writes jsonb.
 * @param codes keys under which words of a code stay
 * @param kept words that stay under any key; of what a person may write any key in, the keys besides: others become codes
 * @throws SyntaxError for what is no JSON
 */
export function maskJson(masker: Masker, text: string, codes: ReadonlySet<string>, kept: Kept = {}): string {
  return new Reading(masker, text.match(tokens) ?? [], codes, kept).value("");
}

class Reading {
  #at = 0;

  constructor(
    private readonly masker: Masker,
    private readonly tokens: readonly string[],
    private readonly codes: ReadonlySet<string>,
    private readonly kept: Kept,
  ) {}

  /** @param key the key under which it stands, itself or the array that it is in */
  value(key: string): string {
    const token = this.#next();
    switch (token[0]) {
      case "{":
        return this.#object();
      case "[":
        return `[${this.#members("]", () => this.value(key)).join(", ")}]`;
      case '"':
        return JSON.stringify(this.#leaf(JSON.parse(token) as string, key));
      default:
        return /^[tfn]/.test(token) ? token : this.masker.number(token);
    }
  }

  #object(): string {
    const members = this.#members("}", () => {
      const key = JSON.parse(this.#next()) as string;
      this.#next(":");
      const name = this.#name(key);
      return { name, renamed: name !== key, text: `${JSON.stringify(name)}: ${this.value(key)}` };
    });
    // jsonb has the shorter keys first, and those of a length by their bytes; what is masked is ASCII.
    if (members.some(({ renamed }) => renamed))
      members.sort((a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : 1));
    return `{${members.map((member) => member.text).join(", ")}}`;
  }

  /** A code is another for each key, however short: two keys of an object must not become one. */
  #name(key: string): string {
    const { keys } = this.kept;
    if (keys) return keys.has(key) ? key : this.masker.code(key);
    return programmed.test(key) ? key : this.masker.text(key);
  }

  #members<T>(end: string, read: () => T): T[] {
    if (this.tokens[this.#at] === end) {
      this.#at++;
      return [];
    }
    const members = [read()];
    while (this.#next(",", end) === ",") members.push(read());
    return members;
  }

  #next(...wanted: readonly string[]): string {
    const token = this.tokens[this.#at++];
    if (token !== undefined && (wanted.length === 0 || wanted.includes(token))) return token;
    throw new SyntaxError("no JSON");
  }

  #leaf(value: string, key: string): string {
    const { masker, kept } = this;
    const known = masker.dateInText(value) ?? masker.idInText(value);
    if (known !== undefined) return known;
    const isCode = coded.test(value) || published.test(value);
    if (kept.words?.has(value) || (this.codes.has(key) && isCode && !masker.holdsId(value))) return value;
    if (kept.keys) {
      if (timeOfDay.test(value)) return value;
      if (key === "timezone") return masker.timezone(value);
    }
    if (key === "id") return masker.id(value);
    const reference = masker.referenceInText(value);
    if (reference !== undefined) return reference;
    if (/^\S+@\S+$/.test(value)) return masker.email(value);
    // The name of a system must be a URI (003_fhir_integration).
    if (/^urn:\S+$/.test(value)) return `urn:${masker.text(value.slice(4))}`;
    return /^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(value) ? masker.url(value) : masker.text(value);
  }
}
