import { choice, integer, like, optional, record, within, type Property } from "../spec";

/** libpq, "SSL Support", table "SSL Mode Descriptions". */
const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;

const changeIt = "change it: it stands in the file's history";

/** What is said of a connection that was written otherwise: as a URL, or with its password. */
export const careful = {
  exposed: `if a password is in it, ${changeIt}`,
  hints: { password: `a password is never in the configuration, passwordFrom says where it is; ${changeIt}` },
};

export const host: Property<string, false> = {
  ...like(/^(?!.*:\/\/)[^\s@]+$/, "a host name, an address or a socket directory, and no URL", "The server."),
  exposed: careful.exposed,
};

export const port = within(1, 65_535, integer("Its port."));

/** Where a password is. */
export const passwordFrom = (description: string): Property<string, false> => ({
  ...like(/^(env:[A-Za-z_]\w*|file:.+)$/, "env:NAME or file:PATH", description),
  exposed: `if it is the password itself, ${changeIt}`,
});

/** What a connection consists of besides its host. */
const fields = {
  port: optional(port),
  database: optional(like(/\S/, "a name", "The database's name.")),
  user: optional(like(/\S/, "a name", "The role to connect as.")),
  sslmode: optional(choice(sslModes, "Encryption, as libpq means it.")),
  passwordFrom: optional(
    passwordFrom("Where the password is, never the password itself; a path counts from the project's folder."),
  ),
};

export const connectionKeys = {
  database: optional({
    ...record(
      { host: optional(host), ...fields },
      "The database. What is absent is taken from libpq's own variables and files: PGHOST, PGSERVICE, .pgpass and so on.",
    ),
    ...careful,
  }),
};

export const scratchKeys = {
  scratch: optional({
    ...record(
      { host, ...fields },
      "A server on which each backup is restored, to prove it, in place of the embedded one of this machine: a PostgreSQL of the same major version, never the one that is migrated. Only a database of this product's own making is touched there, and dropped afterwards. What is absent is libpq's default; PGHOST, PGUSER and their like are not read.",
    ),
    ...careful,
  }),
};
