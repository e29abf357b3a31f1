import { GuardianError } from "../../base/errors";
import { isKeyword, type Keyword } from "./parameters";

/** What a connection string says: libpq's keywords, and `service`, which names a section of the service file. */
export interface Conninfo {
  readonly values: Readonly<Partial<Record<Keyword, string>>>;
  readonly service?: string;
  /** It holds a password, which is in no other field: whoever asked decides what that means. */
  readonly exposed: boolean;
}

/** Keywords whose values are secrets. */
const secret = new Set<string>(["password", "sslpassword"]);

/** `//user:password@`, with a / or ? in the password too; not `//host:port/db?user=a@b`. */
const inUri = /:\/\/[^/?#\s@]*(?::|%3A)(?!\d{1,5}(?:\/[^?@]*)?\?(?:\w+=[^&@]*&)*user=)[^\s]+@/i;
/** `password=…`, PGPASSWORD, `passwd`, and what a database's tools call it besides. */
const inPair = /pass(?:word|wd|phrase)?\s*=\s*['"]?[^\s'"&]/i;

/** @returns whether a text holds what looks like a password, in whatever form a connection is written; no doubt is a reason to show it */
export const holdsPassword = (text: string): boolean => inUri.test(text) || inPair.test(text);

/**
 * Reads a connection string as libpq does (manual, libpq, "Connection Strings"): key=value pairs or a URI.
 * @param where what it stands in, for errors: `--to`
 * @throws GuardianError setting-invalid, which quotes no value
 */
export function parseConninfo(text: string, where: string): Conninfo {
  // Of a password that cannot be read as one a part would be taken for something else, and be shown.
  if (holdsPassword(text)) return { values: {}, exposed: true };
  const pairs = /^postgres(ql)?:\/\//.test(text) ? fromUri(text, where) : fromPairs(text, where);
  const values: Partial<Record<Keyword, string>> = {};
  let service: string | undefined;
  let exposed = false;
  for (const [key, value] of pairs) {
    if (secret.has(key)) exposed ||= value !== "";
    else if (key === "service") service = value;
    else if (isKeyword(key)) values[key] = value;
    else throw wrong(`it has the parameter ${shownKey(key)}, which libpq does not know`, where);
  }
  return { values, exposed, ...(service === undefined ? {} : { service }) };
}

const shownKey = (key: string): string => (/^\w{1,40}$/.test(key) ? key : "that is no word");

function wrong(what: string, where: string): GuardianError {
  return new GuardianError("setting-invalid", {
    what: `the connection cannot be read: ${what}`,
    where,
    todo: [
      `write ${where} postgresql://USER@HOST:PORT/DATABASE`,
      `or ${where} 'host=HOST port=PORT dbname=DATABASE user=USER'`,
      `or ${where} service=NAME, a section of ~/.pg_service.conf`,
    ],
  });
}

/** One pair: a word, "=", and a value that is quoted if it is empty or holds blanks; \ escapes (fe-connect.c, conninfo_parse). */
const pair = /\s*([^\s=]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\']|\\.)(?:[^\s\\]|\\.)*|)(?=\s|$)/sy;

function fromPairs(text: string, where: string): [string, string][] {
  const found: [string, string][] = [];
  pair.lastIndex = 0;
  while (text.slice(pair.lastIndex).trim() !== "") {
    const [, key, raw = ""] = pair.exec(text) ?? [];
    if (key === undefined) throw wrong("it is neither key=value pairs nor a URI", where);
    const bare = raw.startsWith("'") ? raw.slice(1, -1) : raw;
    found.push([key, bare.replace(/\\(.)/gs, "$1")]);
  }
  if (found.length === 0) throw wrong("it is empty", where);
  return found;
}

/** postgresql://[user[:password]@][host][:port][,…][/dbname][?key=value[&…]], each part with %-escapes. */
function fromUri(text: string, where: string): [string, string][] {
  const rest = text.replace(/^postgres(ql)?:\/\//, "");
  const [, user, authority = "", path, query] = /^(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest) ?? [];
  const plain = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw wrong("a % in it is no escape", where);
    }
  };
  const found: [string, string][] = [];
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") found.push([key, plain(value)]);
  };
  const at = user?.indexOf(":") ?? -1;
  add("user", at < 0 ? user : user?.slice(0, at));
  if (at >= 0) add("password", user?.slice(at + 1));
  // Several hosts stay several: they are refused where all connections are.
  const hosts = authority.split(",").map((one) => /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(one));
  if (hosts.some((one) => one === null)) throw wrong("its host or port cannot be read", where);
  const list = (i: number): string => hosts.map((one) => one?.[i]?.replace(/^\[|\]$/g, "") ?? "").join(",");
  add("host", list(1).replace(/^,+$/, ""));
  add("port", list(2).replace(/^,+$/, ""));
  add("dbname", path);
  for (const part of query === undefined || query === "" ? [] : query.split("&")) {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(part) ?? [];
    if (key === undefined) throw wrong("a parameter after ? is not key=value", where);
    // JDBC's word, which libpq takes too.
    if (key === "ssl" && value === "true") found.push(["sslmode", "require"]);
    else found.push([plain(key), plain(value ?? "")]);
  }
  return found;
}
