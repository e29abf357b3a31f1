import { type Identity, parseRecipient, readIdentities, type Recipient } from "../age";
import { GuardianError } from "../base/errors";
import type { WantedStore } from "./wanted";

/** @returns nobody where the store gets backups as they are @throws GuardianError where a key is none */
export const recipientsOf = ({ recipients }: Pick<WantedStore, "recipients">): Recipient[] =>
  recipients.join() === "none" ? [] : recipients.map((one) => parseRecipient(one, "guardian:backup.recipients"));

/** Whom a store's backups are encrypted for, and what they are read back with, where that is here. */
interface Keys {
  readonly recipients: readonly Recipient[];
  readonly identities?: readonly Identity[];
}

/**
 * Reads the keys of a store; it is not asked.
 * @throws GuardianError where one is none, is not there, or the identity is no recipient's
 */
export function keysOf(wanted: WantedStore): Keys {
  const recipients = recipientsOf(wanted);
  if (wanted.identityFrom === undefined) return { recipients };
  const identities = readIdentities(wanted.identityFrom, process.env);
  const known = identities.some(({ recipient }) => recipients.some(({ text }) => text === recipient.text));
  if (known || recipients.length === 0) return { recipients, identities };
  throw new GuardianError("age-no-identity", {
    what: "the identity that stored backups are to be read back with is none of the recipients'",
    where: "guardian:backup.identityFrom",
    todo: [
      "name the identity of one of guardian:backup.recipients",
      "or none: what is stored is then compared as it is",
    ],
  });
}
