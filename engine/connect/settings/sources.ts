import { GuardianError } from "../../base/errors";
import type { DatabaseInput } from "./input";
import { type Keyword, parameter, parameters } from "./parameters";
import { Secret } from "./secret";
import { readService, type Service } from "./service-file";

/** Where a value came from, in words: `guardian:database`, `service "x" in FILE`, `PGHOST`, `libpq's default`. */
export type Origin = string;

export const configOrigin = "guardian:database";

/** Values that were said of one connection alone, and where: they win over everything else. */
export interface Given {
  readonly values: Readonly<Partial<Record<Keyword, string>>>;
  readonly origin: Origin;
  /** A section of the service file, in the place of PGSERVICE. */
  readonly service?: string | undefined;
  /** What names the password's place there: `--password-from`. */
  readonly passwordFrom: string;
}

/** The sources of connection values in libpq's order: explicit, service file, environment, default. */
export class Sources {
  readonly origins = new Map<string, Origin>();
  readonly warnings: string[] = [];
  readonly #explicit: Partial<Record<Keyword, string>>;
  readonly #service: Service | undefined;
  readonly #env: NodeJS.ProcessEnv;

  constructor(
    input: DatabaseInput,
    env: NodeJS.ProcessEnv,
    readonly given: Given | undefined,
  ) {
    this.#env = env;
    this.#service = readService(env, given);
    this.#explicit = explicit(input);
    this.#refuseUnsupported();
  }

  /** A value, or undefined where no source has one; an empty one counts as absent. */
  text(keyword: Keyword): string | undefined {
    const variable = parameter(keyword).env;
    const service = this.#service;
    const candidates: [string | undefined, Origin][] = [
      [this.given?.values[keyword], this.given?.origin ?? ""],
      [this.#explicit[keyword], configOrigin],
      [service?.values.get(keyword), service ? `service "${service.name}" in ${service.file}` : ""],
      [variable ? this.#env[variable] : undefined, variable ?? ""],
    ];
    for (const [value, origin] of candidates) {
      if (!value) continue;
      this.note(keyword, origin);
      return value;
    }
    return undefined;
  }

  fallback(keyword: Keyword, value: string): string {
    this.note(keyword, "libpq's default");
    return value;
  }

  integer(keyword: Keyword, usual: number, least: number, most: number): number {
    const text = this.text(keyword);
    if (text === undefined) return Number(this.fallback(keyword, String(usual)));
    const value = Number(text);
    if (/^\s*-?\d+\s*$/.test(text) && value >= least && value <= most) return value;
    throw this.#wrong(keyword, text, `a whole number from ${least} to ${most}`);
  }

  choice<T extends string>(keyword: Keyword, allowed: readonly T[], usual: T): T {
    const text = this.text(keyword) ?? this.fallback(keyword, usual);
    const found = allowed.find((one) => one === text);
    if (found) return found;
    throw this.#wrong(keyword, text, `one of ${allowed.join(", ")}`);
  }

  secret(keyword: Keyword): { password: Secret; origin: Origin } | undefined {
    const value = this.text(keyword);
    return value === undefined ? undefined : { password: new Secret(value), origin: this.origin(keyword) };
  }

  origin(keyword: Keyword): Origin {
    return this.origins.get(shown(keyword)) ?? "libpq's default";
  }

  note(keyword: Keyword, origin: Origin): void {
    this.origins.set(shown(keyword), origin);
  }

  #wrong(keyword: Keyword, text: string, expected: string): GuardianError {
    const what = `${shown(keyword)} is ${JSON.stringify(text.slice(0, 60))}; expected ${expected}`;
    return new GuardianError("setting-invalid", { what, where: this.origin(keyword), todo: `set it to ${expected}` });
  }

  /** What libpq would honour and pg cannot is refused, so that both connect alike or not at all. */
  #refuseUnsupported(): void {
    for (const keyword of Object.keys(parameters) as Keyword[]) {
      const only = parameter(keyword).only;
      const value = only && this.text(keyword);
      if (!only || !value || only.includes(value)) continue;
      const allowed = only.length > 0 ? `only ${only.join(", ")}` : "leave it out";
      throw new GuardianError("setting-invalid", {
        what: `the connection parameter ${keyword} is set to what the pg driver does not support (${allowed})`,
        where: this.origin(keyword),
        todo: `take ${keyword} out there`,
      });
    }
  }
}

function explicit(input: DatabaseInput): Partial<Record<Keyword, string>> {
  const { host, port, database, user, sslmode } = input;
  return {
    ...(host ? { host } : {}),
    ...(port === undefined ? {} : { port: String(port) }),
    ...(database ? { dbname: database } : {}),
    ...(user ? { user } : {}),
    ...(sslmode ? { sslmode } : {}),
  };
}

/** The name users know it by: the config key, not libpq's keyword. */
function shown(keyword: Keyword): string {
  return keyword === "dbname" ? "database" : keyword;
}
