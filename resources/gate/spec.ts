import { throughInput } from "../../config/stages";
import { choice, flag, integer, list, map, number, optional, record, resource, text, whole } from "../../spec";
import { gateNames } from "../../spec/gates";

const verdicts = ["ready", "ready with warnings", "not ready", "not asked"] as const;
const findings = ["passed", "warned", "failed", "could not run", "not applicable"] as const;

const limits = record(
  {
    maxDataLoss: number("The share of rows that may be lost."),
    warnSlowdown: number("The share by which the application may become slower without a warning."),
    maxSlowdown: number("The share above which it stops."),
  },
  "What is measured against.",
);

const backup = record(
  {
    directory: text("Folder for the backups."),
    maxAgeSeconds: integer("How long after its proof a backup serves changes that are still to come."),
    verify: choice(["restore", "list"] as const, "Whether it is restored."),
  },
  "What backups are to be.",
);

const signOff = record(
  { by: text("Who answers for it."), on: text("The day."), note: text("What was tried or read.") },
  "A sign-off.",
);

const endpoint = record(
  {
    url: text("What is asked."),
    status: integer("What it must answer with."),
    header: optional(text("env:NAME, the variable with a header that is sent along.")),
  },
  "An endpoint of the application.",
);

const outcome = record(
  {
    check: text("Its name."),
    verdict: choice(findings, "What it came to."),
    evidence: list(text("A line."), "What was seen."),
    figures: map(number("A number."), "What was measured."),
    seconds: number("How long it took."),
  },
  "What a check said.",
);

export const gateSpec = resource(
  "Gate",
  "Checks at the boundary of a stage, each executed, with its evidence. A failed one stops an up before the next stage. The way back asks none. Deleting the resource ends its entry in the ledger and nothing else.",
  {
    inputs: {
      gate: choice(gateNames, "Which boundary it stands at."),
      checks: list(text("A check."), "The checks, by name."),
      judges: map(
        text("A hash."),
        "Modules and data migrations that it stands for, by meaning: with another it is asked anew, checks that read whole tables too.",
      ),
      rollout: optional(map(integer("A percentage."), "Flags that are on: with others it is asked anew.")),
      limits,
      accept: optional(map(text("The reason."), "Checks that are accepted though they do not pass.")),
      strict: optional(flag("A check that could not run stops too, and a sign-off that is missing.")),
      onBreach: optional(
        choice(["stop", "rollback"] as const, "Whether flags are set back where a criterion of rollback is met."),
      ),
      signOff: optional(map(signOff, "What people have signed off, by item.")),
      endpoints: optional(list(endpoint, "What must respond.")),
      ...throughInput,
      backup,
      publications: list(text("A publication."), "Publications that new tables may join."),
      operators: optional(list(text("A role."), "Members of guardian_operator that somebody declared.")),
      ledgerId: text("The ledger that records it."),
    },
    computed: {},
    outputs: {
      verdict: choice(
        verdicts,
        "What its checks together say; not asked: nothing that it stands before was to come, or things were only taken out.",
      ),
      outcomes: whole(list(outcome, "What each check said.")),
      accepted: list(text("A check."), "Checks of which the ledger keeps what was accepted."),
      judgedAt: text("When it was asked, by the server's clock; empty if it was not."),
    },
  },
);
