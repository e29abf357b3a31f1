import { choice, like, optional, record, ruled } from "../spec";

/** The lawful bases of GDPR article 6(1), as patient_consents.legal_basis spells them. */
const legalBases = [
  "consent",
  "contract",
  "legal_obligation",
  "vital_interests",
  "public_task",
  "legitimate_interests",
] as const;

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
      ({ mode, legalBasis }) => {
        if (mode !== "pending" || !legalBasis || legalBasis === "consent") return [];
        const text = `is ${legalBasis}, but mode pending asks for a consent: only consent is allowed with it`;
        return [{ path: ["legalBasis"], text }];
      },
    ),
  ),
};
