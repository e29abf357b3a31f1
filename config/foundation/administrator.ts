import { choice, like, optional, otherwise, record } from "../../spec";
import { careful, host, passwordFrom, port } from "../connection";

/** What the plugin of @pulumi/postgresql knows, which is not libpq. */
const sslModes = ["disable", "require", "verify-ca", "verify-full"] as const;

export const administratorKeys = {
  database: optional({
    ...record(
      {
        host,
        port: otherwise(5432, port),
        database: like(/\S/, "a name", "The database of Guardian."),
        user: like(
          /\S/,
          "a name",
          "Who may grant on v6's tables and make roles with BYPASSRLS: a superuser, or from PostgreSQL 16 on a role with CREATEROLE that has it.",
        ),
        sslmode: otherwise(
          "verify-full",
          choice(sslModes, "Encryption, as libpq means it; PGSSLROOTCERT names the authority."),
        ),
        passwordFrom: optional(
          passwordFrom("Where the password is, never the password itself; a path counts from foundation/."),
        ),
      },
      "The database, as its administrator connects to it: not the role that migrates, which has no such rights.",
    ),
    ...careful,
  }),
};
