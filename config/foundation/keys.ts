import { record, ruled, type Values } from "../../spec";
import { awsFoundationKeys } from "../aws";
import { accessKeys, passwordsOf, sharedPasswords } from "./access";
import { administratorKeys } from "./administrator";

/** The name of the project in foundation/, and of its keys' namespace. */
export const foundationProject = "guardian-foundation";

/** Every key of foundation/, one line a group. */
const keys = {
  ...administratorKeys,
  ...accessKeys,
  ...awsFoundationKeys,
};

/** Everything that the keys of foundation/ say, with defaults filled in; what may be absent and is, is undefined. */
export type FoundationConfig = { [K in keyof typeof keys]: Values<typeof keys>[K] };

/** The configuration of foundation/ as a whole: its keys, and what does not go together. */
export const foundation = ruled(record(keys, "The configuration of a stack of foundation/."), (found) => {
  const { database, access } = found;
  if ("access" in found && !("database" in found)) {
    const text =
      "is missing, and access names roles: say where they are made, {host, port, database, user, passwordFrom}";
    return [{ path: ["database"], text }];
  }
  const administrator = database?.passwordFrom;
  const own: [string, string][] = administrator === undefined ? [] : [["database.passwordFrom", administrator]];
  return access ? sharedPasswords([...own, ...passwordsOf(access)]) : [];
});
