import { choice, like, optional, record, ruled, type Complaint } from "../spec";

/** The lawful bases of GDPR article 6(1), as patient_consents.legal_basis spells them. */
const legalBases = [
  "consent",
  "contract",
  "legal_obligation",
  "vital_interests",
  "public_task",
  "legitimate_interests",
] as const;

/** Marks of a text that somebody meant to write later, wherever they stand; in capitals, since "todo" is Spanish too. */
const marks =
  /\b(TODO|TBD|TBA|TBC|FIXME|XXX+|(CHANGE|REPLACE|FILL)[ _-]?ME)\b|<[\p{L}_][^<>]*>|\{\{|\$\{|\blorem ipsum\b|\b(change|replace) ?me\b|[[{](insert|fill|add|your|reason|statement)\b[^\]}]*[\]}]/u;

/** Texts that say nothing, as a whole; the examples of this project's own files among them. */
const empty = new RegExp(
  `^\\W*(${[
    "todo|to do|tb[acd]|fixme|x{3,}|tests?|testing|example|sample( text)?|placeholder( text)?|dummy( text)?|temp(orary)?",
    "to be (written|done|decided|defined|determined|confirmed|announced|filled in|added|provided)( later)?|(write|add) later",
    "fill (me |this |it )?in|(insert|add|write|enter|put|your|the|some|a|my) ?(your |the |a |some )?(reason|statement|text|words)( here)?",
    "(reason|statement|text|words) ?(goes |go )?here|reason|statement|text|your words here",
    "none|n/?a|null|undefined|foo( ?bar)?|bar|asdf\\w*|qwert\\w*|bla+h?([ ,]*bla+h?)*|lorem.*|abc\\w?|yes|no|ok(ay)?|why|because|hello( world)?",
    "why, in one sentence|the operator's reason( in words)?",
  ].join("|")})\\W*$`,
  "isu",
);

/** @returns whether a statement is a placeholder, or has no word in it */
function isPlaceholder(statement: string): boolean {
  return marks.test(statement) || empty.test(statement) || !/\p{L}{2}/u.test(statement);
}

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
