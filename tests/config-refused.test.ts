import { expect } from "chai";
import { validateConfig } from "../config";
import { age, consent, raw, user } from "./support/config";

/** One value that is refused: where it stands, what is said of that key, and what else is configured. */
type Refused = [what: string, path: string, given: unknown, said: string, beside?: Record<string, object>];

/** The configuration with a value at `key` or `group.key`. */
function configured(path: string, given: unknown, beside: Record<string, object>): Record<string, unknown> {
  const [group, key] = path.split(".") as [string, string?];
  return { ...beside, [group]: key === undefined ? given : { ...beside[group], [key]: given } };
}

const known = (key: string): string => `is not known: the nearest known key is guardian:${key}`;
const percent = "it must be a whole number from 0 to 100";
const noObject = "is no object: set its keys one by one, pulumi config set --path";
const time = "does not fit: it must be a number with ms, s or m, from 1ms to";
const bucket = { backup: { to: "s3://my-bucket" } };
const plain = { ...bucket.backup, recipients: ["none"] };
const legacyConsent = consent;

const refused: Refused[] = [
  [
    "an unknown flag",
    "rollout.fhir_integratoin",
    5,
    `${known("rollout.fhir_integration")}; a flag of your own is declared in guardian:flags`,
  ],
  ["per cent 101", "rollout.event_sourcing", 101, `is 101: ${percent}`],
  ["per cent -1", "rollout.event_sourcing", "-1", `is "-1": ${percent}`],
  ["half a per cent", "rollout.event_sourcing", 0.5, `is 0.5: ${percent}`],
  ["a per cent in words", "rollout.event_sourcing", "half", `is no number: ${percent}`],
  ["an object that is a word", "gates", "none", noObject],
  ["an object that is a list", "rollout", [5], noObject],
  ["a key in capitals", "GATES", {}, known("gates")],
  ["an unknown key in an object", "backup.directry", "x", known("backup.directory")],
  ["16-5: a try that waits longer than the locks may be held", "locks.timeout", "201ms", `${time} 200ms`],
  ["16-5: a pause without a unit", "locks.pause", 5, `${time} 10m`],
  ["16-5: how long the locks are held", "locks.hold", "1s", "is not known: for how long v6 is locked is fixed, 200 ms"],
  [
    "18-4: a store and nobody it is encrypted for",
    "backup.recipients",
    undefined,
    "is missing: backups hold patients' data, say whose age keys they are encrypted for before they leave, or [none]",
    bucket,
  ],
  [
    "18-3: keys for backups that stay",
    "backup.recipients",
    [age],
    "has no effect without guardian:backup.to: on this machine a backup is kept in a folder of mode 0700, not encrypted",
  ],
  [
    "18-3: an identity in the place of a recipient, which is not shown",
    "backup.recipients",
    ["AGE-SECRET-KEY-1XYZ"],
    "has something else at [0]: it must be a list of age keys (age1…), or [none]",
    bucket,
  ],
  [
    "18-3: none beside keys",
    "backup.recipients",
    [age, "none"],
    "has none beside keys: it is one or the other",
    bucket,
  ],
  [
    "18-4: plain backups over plain http",
    "backup.endpoint",
    "http://s3.example.org:9000",
    "is not encrypted (http), and neither is the backup: use https, or name guardian:backup.recipients",
    { backup: plain },
  ],
  [
    "18-4: a store that is no bucket",
    "backup.to",
    "https://my-bucket.s3.amazonaws.com",
    "does not fit: it must be s3://bucket or s3://bucket/prefix",
    { backup: { recipients: [age] } },
  ],
  ...["s3://10.0.0.5/x", "s3://my..bucket", "s3://my-bucket/../x", "s3://my-bucket/x/."].map((to): Refused => [
    `18-4: ${to}, of which a server may make another place`,
    "backup.to",
    to,
    "does not fit: it must be s3://bucket or s3://bucket/prefix",
    { backup: { recipients: [age] } },
  ]),
  ["no jobs", "backup.jobs", 0, "is 0: it must be a whole number from 1 to 64"],
  [
    "an age without a unit",
    "backup.maxAge",
    "90",
    "does not fit: it must be a number with s, m, h or d, such as 30m, 1h or 2d",
  ],
  ["gates that cannot warn", "gates.warnSlowdown", 0.3, "is 0.3, above maxSlowdown 0.25: it would never warn"],
  ["a loss above all", "gates.maxDataLoss", 2, "is 2: it must be a number from 0 to 1"],
  ["a publication with another word", "publications.p", "yes", 'is "yes": it must be one of accepted'],
  ...[
    ["row-securty", "; the nearest check is row-security"],
    ["backup/vitals", ""],
  ].map(([name = "", near = ""]): Refused => [
    `to accept ${name}, which is nothing that is asked`,
    `accept.${name}`,
    "known for long",
    `is nothing that can be accepted: what can is named by up and written as there, such as row-security or backup/<schema>.<table>${near}`,
  ]),
  ["a purge that is no yes or no", "purge", "yes", 'is "yes": it must be one of true, false'],
  [
    "an sslmode",
    "database.sslmode",
    "on",
    'is "on": it must be one of disable, allow, prefer, require, verify-ca, verify-full',
  ],
  ["a port", "database.port", 70000, "is 70000: it must be a whole number from 1 to 65535"],
  [
    "a list that is no list of uuids",
    "allowList.multi_tenancy",
    [user, "bob"],
    "has something else at [1]: it must be a list of uuids",
  ],
  ["a single uuid where a list belongs", "allowList.multi_tenancy", user, "does not fit: it must be a list of uuids"],
  [
    "pending on another basis than consent",
    "legacyConsent.legalBasis",
    "contract",
    "is contract, but mode pending asks for a consent: only consent is allowed with it",
    { legacyConsent: { mode: "pending", statement: "ask them" } },
  ],
  [
    "an empty statement",
    "legacyConsent.statement",
    "  ",
    "does not fit: it must be the operator's reason in words",
    { legacyConsent },
  ],
  [
    "16-9 a statement that is longer than what is kept with a row",
    "legacyConsent.statement",
    "They were told. ".repeat(126),
    "has 2016 characters, and is kept with each patient's row: 2000 at most",
    { legacyConsent },
  ],
  [
    "an unknown basis",
    "legacyConsent.legalBasis",
    "habit",
    'is "habit": it must be one of consent, contract, legal_obligation, vital_interests, public_task, legitimate_interests',
    { legacyConsent },
  ],
  ["no mode", "legacyConsent.mode", undefined, "is missing: it must be one of assumed, pending", { legacyConsent }],
];

const placeholders = [
  ...["TODO", "todo.", "<your reason>", "Lorem ipsum dolor sit", "xxx", "...", "x", "test", "why, in one sentence"],
  ...["To be decided.", "TBA by legal", "[insert reason]", "Insert your statement here", "CHANGEME", "REPLACE_ME"],
  ...["dummy text", "blah blah", "the operator's reason"],
];

const errorsOf = (path: string, given: unknown, beside: Record<string, object> = {}): string[] =>
  validateConfig(raw({ legacyConsent, ...configured(path, given, beside) })).errors;

describe("config: one error each", () => {
  for (const [what, path, given, said, beside] of refused) {
    it(`refuses ${what}`, () => expect(errorsOf(path, given, beside)).to.deep.equal([`guardian:${path} ${said}`]));
  }

  for (const statement of placeholders) {
    it(`16-18 refuses a statement that is a placeholder: ${statement}`, () =>
      expect(errorsOf("legacyConsent.statement", statement, { legacyConsent })).to.deep.equal([
        "guardian:legacyConsent.statement is a placeholder, and would be kept as evidence with each patient's row: say why, in your own words",
      ]));
  }
});
