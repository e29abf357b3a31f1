import { integer, optional, record, text } from "../../spec";

/** Which database: where a field is absent, libpq's own variables and files say it. No password ever stands here. */
export const providerConfig = {
  database: optional(
    record(
      {
        host: optional(text("Host name, address, or folder of the socket.")),
        port: optional(integer("Port.")),
        database: optional(text("Name of the database.")),
        user: optional(text("Role to connect as.")),
        sslmode: optional(text("As libpq means it: disable, allow, prefer, require, verify-ca, verify-full.")),
        passwordFrom: optional(text("Where the password is: env:NAME or file:PATH.")),
      },
      "The database to migrate.",
    ),
  ),
};

/** What of the provider's configuration the program gives. */
export interface DatabaseReference {
  host?: string;
  port?: number;
  database?: string;
  user?: string;
  sslmode?: string;
  passwordFrom?: string;
}
