import { any, flag, integer, list, map, optional, resource, secret, text } from "../../spec";
import { behindInput } from "../../spec/gates";

export const featureFlagSpec = resource(
  "FeatureFlag",
  "One row of feature_flags. Of a flag that module 001 delivers the resource has the values, and deleting it puts them back as delivered; one that the stack declares it makes, and removes.",
  {
    inputs: {
      flag: text("Name of the flag."),
      enabled: flag("The master gate: while it is false the feature is off for everybody."),
      rolloutPercentage: integer("Per cent of users that have the feature, 0 to 100."),
      enabledForUsers: secret(
        list(text("A user's id."), "Users that have the feature whatever the percentage. A secret in the state."),
      ),
      description: optional(
        text("What the flag is for. With it the stack declares the flag; module 001 describes those that it delivers."),
      ),
      acknowledge: optional(
        text("The session of an emergency rollback after which features may be switched on again."),
      ),
      ...behindInput,
      ledgerId: text("The ledger that records it."),
    },
    computed: {},
    outputs: {
      // Somebody may have put anything into the row by hand, and a refresh shows it.
      configuration: secret(
        map(
          any("A setting."),
          "Settings of the feature, as module 001 delivers them; none of a flag that the stack declares.",
        ),
      ),
    },
  },
);
