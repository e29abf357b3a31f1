import type { Client } from "pg";
import { GuardianError } from "../base/errors";
import { keyOf, mend } from "./settings/mend";
import type { ConnectionSettings } from "./settings";

/** Ways in which a server may ask who it is, by libpq's names of them (manual, libpq, "require_auth"). */
const asking = {
  authenticationCleartextPassword: "password",
  authenticationMD5Password: "md5",
  authenticationSASL: "scram-sha-256",
} as const;

type Method = (typeof asking)[keyof typeof asking] | "none";

/** What a server asked for while a connection was made, and whether it may have it. */
export class AuthMethods {
  #asked: Method = "none";

  constructor(
    readonly settings: ConnectionSettings,
    /** True if what is sent can be read by nobody on the way: TLS, or a unix-domain socket. */
    readonly hidden: boolean,
  ) {}

  /** Listens to what the server asks for; before the client connects. */
  watch(client: Client): void {
    for (const [event, method] of Object.entries(asking)) client.connection.once(event, () => (this.#asked = method));
  }

  /**
   * Called when the password is about to be used, and when the connection stands.
   * @throws GuardianError if it is not to be sent in that way
   */
  check(): void {
    const { requireAuth } = this.settings.fields;
    if (requireAuth !== undefined) {
      if (!allows(requireAuth, this.#asked)) throw refused(this.settings, requireAuth, this.#asked);
      return;
    }
    if (this.#asked === "password" && !this.hidden) throw exposed(this.settings);
  }
}

/** One word with a "!" forbids; a list names all that is allowed, or, with "!" before each, all that is not. */
function allows(requireAuth: string, method: Method): boolean {
  const words = requireAuth.split(",").map((word) => word.trim());
  const named = words.some((word) => word.replace(/^!/, "") === method);
  return words[0]?.startsWith("!") ? !named : named;
}

function exposed(settings: ConnectionSettings): GuardianError {
  return new GuardianError("password-exposed", {
    what: `the server asks for the password of user ${settings.fields.user} in clear text, over a connection without TLS; it was not sent`,
    where: settings.explain(),
    todo: [
      `set ${keyOf(settings, "sslmode")} to require, verify-ca or verify-full, so that it travels encrypted`,
      "ask for the method scram-sha-256 in the server's pg_hba.conf",
      "if nobody can read what is on that way, a tunnel of your own for example: PGREQUIREAUTH=password",
    ],
  });
}

function refused(settings: ConnectionSettings, requireAuth: string, method: Method): GuardianError {
  const how = method === "none" ? "asks for no password" : `asks for a password by the method ${method}`;
  return new GuardianError("login-refused", {
    what: `the server ${how}, which require_auth (${requireAuth}) does not allow; nothing was sent`,
    where: `${settings.explain()}; require_auth from ${settings.origins.get("require_auth") ?? "the settings"}`,
    todo: ["find out whether this is the server that is meant", mend(settings, "host"), "or change require_auth there"],
  });
}
