import {
  flag,
  integer,
  like,
  list,
  optional,
  otherwise,
  record,
  ruled,
  secret,
  within,
  type Complaint,
  type Value,
} from "../../spec";
import { roleNames } from "../../spec/roles";
import { passwordFrom } from "../connection";

const role = record(
  {
    passwordFrom: optional(
      passwordFrom(
        "Where its password is: at least 16 characters, printable ASCII. State and server get a SCRAM verifier of it.",
      ),
    ),
    password: optional(
      secret(
        like(
          /^[\x21-\x7e]{16,}$/,
          "at least 16 characters of printable ASCII without spaces",
          "In its place, the password itself: made once, and kept as a secret of Pulumi's (`config set --secret`), encrypted in the stack's file and never in clear.",
        ),
      ),
    ),
  },
  "A role that logs in.",
);

/** A role that logs in. A file's path counts from the folder of the project. */
const loginRole = (description: string) => optional({ ...ruled(role, oneOfTwo), description });

function oneOfTwo(found: Partial<Value<typeof role>>): Complaint[] {
  const given = ["passwordFrom", "password"].filter((key) => key in found);
  if (given.length === 1) return [];
  const text = "needs passwordFrom, env:NAME or file:PATH, or password, a secret";
  return [{ path: [], text: given.length === 0 ? text : "has both passwordFrom and password: take one out" }];
}

const access = record(
  {
    migrator: loginRole("guardian_migrator: runs the migration."),
    auditor: loginRole("guardian_auditor: previews, and reads everything."),
    backup: loginRole("guardian_backup: dumps."),
    operators: optional(
      list(
        like(/\S/, "a name", "A role that is there already."),
        "guardian_operator: what module 009 is for. Its members, who log in as themselves; [] for none yet.",
        "a list of names",
      ),
    ),
    server: otherwise(17, within(15, 99, integer("The server's major version: from 17 on a lock needs less."))),
    userProfiles: otherwise(true, flag("Whether v6 has the table user_profiles, which it did not always have.")),
  },
  "The roles that are made, each that is named here; one that was made otherwise is left out. Without it, none is.",
);

export const accessKeys = {
  access: optional(ruled(access, (found) => [...none(found), ...members(found.operators ?? [])])),
};

const loginRoles = ["migrator", "auditor", "backup"] as const;

/** Says of each role where its password is. */
export const passwordsOf = (found: Partial<Value<typeof access>>): [key: string, from: string][] =>
  loginRoles.flatMap((key) => {
    const from = found[key]?.passwordFrom;
    return from === undefined ? [] : [[`access.${key}.passwordFrom`, from] as [string, string]];
  });

/** The passwords that are secrets of the stack's file. */
export const secretsOf = (found: Partial<Value<typeof access>>): [key: string, password: string][] =>
  loginRoles.flatMap((key) => {
    const password = found[key]?.password;
    return password === undefined ? [] : [[`access.${key}.password`, password] as [string, string]];
  });

function none(found: object): Complaint[] {
  if (["migrator", "auditor", "backup", "operators"].some((role) => role in found)) return [];
  return [{ path: [], text: "names no role: give migrator, auditor, backup or operators, or take it out" }];
}

/** An auditor who is an operator could change something. */
function members(names: readonly string[]): Complaint[] {
  const [own] = names.filter((name) => (roleNames as readonly string[]).includes(name));
  const [twice] = names.filter((name, i) => names.indexOf(name) !== i);
  const path = ["operators"];
  if (own !== undefined) return [{ path, text: `has ${own}, which is one of the four itself: name people` }];
  return twice === undefined ? [] : [{ path, text: "has a name twice" }];
}

/** One password is one role's: who knows it could else do what another role may. */
export function sharedPasswords(found: readonly [key: string, from: string][]): Complaint[] {
  return found.flatMap(([key, from], i) => {
    const other = found.slice(0, i).find(([, earlier]) => earlier === from);
    return other ? [{ path: key.split("."), text: `is the same as that of ${other[0]}: each role has its own` }] : [];
  });
}
