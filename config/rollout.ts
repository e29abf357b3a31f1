import { each, integer, list, optional, otherwise, secret, standing, uuid, within } from "../spec";

const users = list(uuid("A user's id."), "Users who have the flag.", "a list of uuids");

const unknown = "a flag of your own is declared in guardian:flags";

/** @param flags the flags that there are: those of module 001, and those that the stack declares */
export const rolloutKeys = (flags: readonly string[]) => ({
  rollout: otherwise(
    {},
    {
      ...each(
        flags,
        within(0, 100, integer("Per cent.")),
        "Per flag the per cent of users who have it. A flag that is not named is off.",
      ),
      unknown,
    },
  ),
  allowList: otherwise(
    {},
    secret({
      ...each(
        flags,
        standing(users, (ids) => [...new Set(ids)]),
        "Per flag the users who have it whatever the percentage. A secret in the state.",
      ),
      unknown,
    }),
  ),
  acknowledge: optional(
    uuid(
      "The id of the newest emergency rollback's session, after which flags may be switched on again; it covers the older ones. The next up notes it in the ledger, and it may be taken out then. Empty for none.",
    ),
  ),
});
