import * as pulumi from "@pulumi/pulumi";
import { ConfigReader } from "./config-reader";

/** The stages in their order; `guardian:through` names the last one that is to be there. */
export const stages = ["infrastructure", "schema", "data", "deployment"] as const;
export type Stage = (typeof stages)[number];

/** The flags that module 001 seeds. */
export const flagNames = [
  "fhir_integration",
  "enhanced_consent",
  "user_preferences_v2",
  "document_queue_v2",
  "event_sourcing",
  "real_time_collaboration",
  "ai_ml_integration",
  "advanced_analytics",
  "multi_tenancy",
  "mobile_optimization",
  "data_portability_v2",
  "zero_trust_security",
] as const;
export type FlagName = (typeof flagNames)[number];

/** The lawful bases of GDPR article 6(1), as patient_consents.legal_basis spells them. */
export const legalBases = [
  "consent",
  "contract",
  "legal_obligation",
  "vital_interests",
  "public_task",
  "legitimate_interests",
] as const;

/** libpq, "SSL Support", table "SSL Mode Descriptions". */
export const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;

/** Where the database is; what is absent is taken from libpq's own variables and files. */
export interface DatabaseConfig {
  host?: string;
  port?: number;
  database?: string;
  user?: string;
  sslmode?: (typeof sslModes)[number];
  /** `env:NAME` or `file:PATH`, the path relative to the project; never the password itself. */
  passwordFrom?: string;
}

/** What becomes of the users who never were asked: their operator decides. */
export interface LegacyConsent {
  /** assumed: a granted consent, labelled as not explicit; pending: a request that waits for an answer. */
  mode: "assumed" | "pending";
  legalBasis: (typeof legalBases)[number];
  /** The operator's reason, kept as evidence with each row. */
  statement: string;
}

/** By the flag's name; a flag that is not there is off. */
export type PerFlag<T> = Readonly<Partial<Record<string, T>>>;

/** Everything that `guardian:*` says, with defaults filled in. */
export interface StackConfig {
  through: Stage;
  database: DatabaseConfig | undefined;
  /** Defined whenever `through` reaches data. */
  legacyConsent: LegacyConsent | undefined;
  /** Per cent of the users for whom a flag is on, 0 to 100. */
  rollout: PerFlag<number>;
  /** Users (uuid) for whom a flag is on before its percentage reaches them; a secret in state. */
  allowList: PerFlag<pulumi.Output<string[]>>;
  /** maxAge in seconds: a backup of a killed run that is older is not adopted. */
  backup: { directory: string; jobs: number; maxAge: number };
  /** Shares: 0.001 is one row in a thousand, 0.10 is ten per cent slower. */
  gates: { maxDataLoss: number; warnSlowdown: number; maxSlowdown: number };
  purge: boolean;
  /** Ledger id of the other stack whose work this one takes over. */
  adopt: string | undefined;
  /** Id of the rollback session after which flags may be switched on again. */
  acknowledge: string | undefined;
}

/** The configuration before Pulumi has a hand in it: who is on an allow-list stands there in plain. */
export type GuardianConfig = Omit<StackConfig, "allowList"> & { allowList: PerFlag<string[]> };

/**
 * Reads and checks all guardian:* keys of the stack.
 * @throws pulumi.RunError that lists every error of the configuration at once; Pulumi shows it without a stack trace
 */
export function readConfig(): StackConfig {
  const raw = pulumi.runtime.allConfig();
  // Exported by the runtime, missing from its types.
  const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret: (key: string) => boolean };
  const { config, errors } = validateConfig(raw, Object.keys(raw).filter(isConfigSecret));
  if (!config) {
    throw new pulumi.RunError(
      `The configuration of stack ${pulumi.getStack()} has ${errors.length} error${errors.length === 1 ? "" : "s"}` +
        ` (Pulumi.${pulumi.getStack()}.yaml):\n${errors.map((error) => `  ${error}`).join("\n")}`,
    );
  }
  const lists = Object.entries(config.allowList).map(([flag, users]) => [flag, pulumi.secret(users ?? [])] as const);
  return { ...config, allowList: Object.fromEntries(lists) };
}

/**
 * Checks raw configuration, `guardian:key` → string (objects as JSON), as Pulumi hands it over. Keys of other
 * namespaces are others' business. An empty string or object counts as absent, since a key that Pulumi.yaml declares
 * must have a default.
 * @param secretKeys keys whose values must not be shown
 * @returns the configuration, or undefined and all errors: which key, what is wrong with it, what is allowed
 */
export function validateConfig(
  raw: Record<string, string>,
  secretKeys: readonly string[] = [],
): { config: GuardianConfig | undefined; errors: string[] } {
  const errors: string[] = [];
  const own = Object.entries(raw).filter(([key]) => key.startsWith("guardian:"));
  const root = Object.fromEntries(own.map(([key, value]) => [key.slice("guardian:".length), value]));
  const secret = (path: string): boolean => secretKeys.some((key) => path === key || path.startsWith(`${key}.`));
  const top = new ConfigReader("guardian", ":", root, errors, secret);
  const through = top.oneOf("through", stages) ?? "deployment";
  const consent = top.object("legacyConsent");
  const config: GuardianConfig = {
    through,
    database: database(top.object("database")),
    legacyConsent: legacyConsent(consent),
    rollout: perFlag(top.object("rollout"), (flags, flag) => flags.number(flag, 0, 100, true)),
    allowList: perFlag(top.object("allowList"), (flags, flag) => flags.uuids(flag)),
    backup: backup(top.object("backup")),
    gates: gates(top.object("gates")),
    purge: top.oneOf("purge", ["true", "false"] as const) === "true",
    adopt: top.uuid("adopt"),
    acknowledge: top.uuid("acknowledge"),
  };
  top.end();
  const reachesData = !top.wrong("through") && stages.indexOf(through) >= stages.indexOf("data");
  if (reachesData && !consent && !top.wrong("legacyConsent")) {
    errors.push(
      `guardian:legacyConsent is missing, and guardian:through ${through} reaches the data stage: say what becomes of` +
        ` users who never were asked, {mode: assumed | pending, legalBasis, statement}`,
    );
  }
  return { config: errors.length === 0 ? config : undefined, errors };
}

function database(object: ConfigReader | undefined): DatabaseConfig | undefined {
  if (!object) return undefined;
  const found = {
    host: object.text("host", /^(?!.*:\/\/)[^\s@]+$/, "a host name, an address or a socket directory, and no URL"),
    port: object.number("port", 1, 65_535, true),
    database: object.text("database", /\S/, "a name"),
    user: object.text("user", /\S/, "a name"),
    sslmode: object.oneOf("sslmode", sslModes),
    passwordFrom: object.text("passwordFrom", /^(env:[A-Za-z_]\w*|file:.+)$/, "env:NAME or file:PATH"),
  };
  object.end({ password: "a password is never in the configuration, passwordFrom says where it is" });
  const given = Object.entries(found).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

function legacyConsent(object: ConfigReader | undefined): LegacyConsent | undefined {
  if (!object) return undefined;
  const mode = object.oneOf("mode", ["assumed", "pending"] as const, true);
  const legalBasis = object.oneOf("legalBasis", legalBases, true);
  const statement = object.text("statement", /\S/, "the operator's reason in words", true);
  object.end();
  if (mode === "pending" && legalBasis && legalBasis !== "consent") {
    object.error(
      "legalBasis",
      `is ${legalBasis}, but mode pending asks for a consent: only consent is allowed with it`,
    );
  }
  return mode && legalBasis && statement ? { mode, legalBasis, statement } : undefined;
}

function perFlag<T>(object: ConfigReader | undefined, read: (object: ConfigReader, flag: string) => T | undefined) {
  const found: Partial<Record<string, T>> = {};
  for (const flag of object ? flagNames : []) {
    const value = object && read(object, flag);
    if (value !== undefined) found[flag] = value;
  }
  object?.end();
  return found;
}

function backup(object: ConfigReader | undefined): StackConfig["backup"] {
  const directory = object?.text("directory", /\S/, "a folder");
  const jobs = object?.number("jobs", 1, 64, true);
  const age = object?.text("maxAge", /^[1-9]\d*[smhd]$/, "a number with s, m, h or d, such as 30m, 1h or 2d");
  object?.end();
  return { directory: directory ?? ".guardian/backups", jobs: jobs ?? 2, maxAge: seconds(age ?? "1h") };
}

function seconds(age: string): number {
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[age.slice(-1)] ?? 1;
  return Number(age.slice(0, -1)) * unit;
}

function gates(object: ConfigReader | undefined): StackConfig["gates"] {
  const maxDataLoss = object?.number("maxDataLoss", 0, 1) ?? 0.001;
  const warnSlowdown = object?.number("warnSlowdown", 0, 100) ?? 0.1;
  const maxSlowdown = object?.number("maxSlowdown", 0, 100) ?? 0.25;
  object?.end();
  if (warnSlowdown > maxSlowdown) {
    object?.error("warnSlowdown", `is ${warnSlowdown}, above maxSlowdown ${maxSlowdown}: it would never warn`);
  }
  return { maxDataLoss, warnSlowdown, maxSlowdown };
}
