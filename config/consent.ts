import { choice, like, optional, record, ruled, type Complaint } from "../spec";
import { isPlaceholder } from "./placeholder";

/** The lawful bases of GDPR article 6(1), as patient_consents.legal_basis spells them. */
const legalBases = [
  "consent",
  "contract",
  "legal_obligation",
  "vital_interests",
  "public_task",
  "legitimate_interests",
] as const;

/** Characters of a statement: what is kept with each row has a bound (docs/bounds.md), far above it. */
const longest = 2000;

export const consentKeys = {
  legacyConsent: optional(
    ruled(
      record(
        {
          mode: choice(
            ["assumed", "pending"],
            "assumed: a granted consent, labelled as not explicit; pending: a request that waits for an answer.",
          ),
          legalBasis: choice(legalBases, "The lawful basis of GDPR article 6(1); mode pending allows only consent."),
          statement: like(
            /\S/,
            "the operator's reason in words",
            "The operator's reason, kept as evidence with each row.",
          ),
        },
        "What becomes of users who were never asked for consent. Must be given when guardian:through reaches the data stage: no default decides it.",
      ),
      ({ mode, legalBasis, statement }) => {
        const wrong: Complaint[] = [];
        if (mode === "pending" && legalBasis && legalBasis !== "consent") {
          const text = `is ${legalBasis}, but mode pending asks for a consent: only consent is allowed with it`;
          wrong.push({ path: ["legalBasis"], text });
        }
        if (statement && isPlaceholder(statement)) {
          const text =
            "is a placeholder, and would be kept as evidence with each patient's row: say why, in your own words";
          wrong.push({ path: ["statement"], text });
        }
        if (statement && statement.length > longest) {
          const text = `has ${statement.length} characters, and is kept with each patient's row: ${longest} at most`;
          wrong.push({ path: ["statement"], text });
        }
        return wrong;
      },
    ),
  ),
};
