import { choice, integer, like, optional, record, within } from "../spec";

/** libpq, "SSL Support", table "SSL Mode Descriptions". */
const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;

export const connectionKeys = {
  database: optional({
    ...record(
      {
        host: optional(
          like(/^(?!.*:\/\/)[^\s@]+$/, "a host name, an address or a socket directory, and no URL", "The server."),
        ),
        port: optional(within(1, 65_535, integer("Its port."))),
        database: optional(like(/\S/, "a name", "The database's name.")),
        user: optional(like(/\S/, "a name", "The role to connect as.")),
        sslmode: optional(choice(sslModes, "Encryption, as libpq means it.")),
        passwordFrom: optional(
          like(
            /^(env:[A-Za-z_]\w*|file:.+)$/,
            "env:NAME or file:PATH",
            "Where the password is, never the password itself; a path counts from the project's folder.",
          ),
        ),
      },
      "The database. What is absent is taken from libpq's own variables and files: PGHOST, PGSERVICE, .pgpass and so on.",
    ),
    hints: { password: "a password is never in the configuration, passwordFrom says where it is" },
  }),
};
