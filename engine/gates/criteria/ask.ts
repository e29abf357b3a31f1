import { request as plain, type IncomingMessage } from "node:http";
import { request as encrypted } from "node:https";
import type { Endpoint } from "../check";

/** Milliseconds for one answer, with all of its body that is read. */
const usual = 10_000;
/** Bytes of a body that are read: what a FHIR server says of itself has some hundred thousand. */
const longest = 16 * 1024 * 1024;

/** What an endpoint answered; never its words. */
export interface Answer {
  readonly ms: number;
  /** 0 where there was no answer. */
  readonly status: number;
  /** Why there was none, in a word. */
  readonly failure?: string;
  /** It was not asked at all: its header is not here to be sent. */
  readonly unasked?: true;
  /** The body, where it was wanted and came whole. */
  readonly body?: string;
}

/** A header to be sent along, or why there is none. Its value goes into the request and nowhere else. */
type Sent = { readonly headers: Record<string, string> } | { readonly failure: string };

/** A field's name and value as they may stand in a line of HTTP (RFC 9110, 5.5 and 5.6.2). */
const line = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)[ \t]*$/;

function sent({ header }: Endpoint, env: NodeJS.ProcessEnv): Sent {
  if (header === undefined) return { headers: {} };
  const name = header.replace(/^env:/, "");
  const value = env[name];
  if (value === undefined || value === "") return { failure: `the variable ${name} with its header is not set` };
  const [, field, content] = line.exec(value) ?? [];
  if (field === undefined || content === undefined)
    return { failure: `the variable ${name} holds no header, one line such as Authorization: Bearer …` };
  return { headers: { [field]: content } };
}

/**
 * Asks an endpoint by GET, once more where there was no answer at all. It follows no redirect, keeps no connection, and
 * trusts what Node trusts (NODE_EXTRA_CA_CERTS).
 * @param reads whether the body is wanted
 * @param patience milliseconds for one answer; tests have less of it
 */
export async function ask(
  endpoint: Endpoint,
  env: NodeJS.ProcessEnv,
  reads: boolean,
  patience = usual,
): Promise<Answer> {
  const header = sent(endpoint, env);
  if ("failure" in header) return { ms: 0, status: 0, failure: header.failure, unasked: true };
  const headers = { accept: reads ? "application/fhir+json, application/json" : "*/*", ...header.headers };
  const answer = await once(endpoint.url, headers, reads, patience);
  return answer.status === 0 ? once(endpoint.url, headers, reads, patience) : answer;
}

async function once(url: string, headers: Record<string, string>, reads: boolean, patience: number): Promise<Answer> {
  const began = performance.now();
  const ms = (): number => Math.round(performance.now() - began);
  try {
    const response = await got(url, headers, patience);
    const status = response.statusCode ?? 0;
    if (!reads) {
      response.destroy();
      return { ms: ms(), status };
    }
    const body = await whole(response);
    return { ms: ms(), status, ...(body === undefined ? {} : { body }) };
  } catch (err) {
    return { ms: ms(), status: 0, failure: reason(err, patience) };
  }
}

function got(url: string, headers: Record<string, string>, patience: number): Promise<IncomingMessage> {
  const make = url.startsWith("https:") ? encrypted : plain;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(patience);
    make(url, { method: "GET", agent: false, headers, signal }, resolve).once("error", reject).end();
  });
}

/** @returns nothing of what is longer than what may be read */
async function whole(response: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > longest) {
      response.destroy();
      return undefined;
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** A code of Node's or of OpenSSL's; a message may quote what was sent. */
function reason(err: unknown, patience: number): string {
  if (err instanceof Error && (err.name === "AbortError" || err.name === "TimeoutError"))
    return `no answer within ${patience / 1000} s`;
  const code = err instanceof Error && "code" in err ? String(err.code) : "";
  return /^[A-Z][A-Z0-9_]*$/.test(code) ? code : "the connection failed";
}
