/**
 * What only people can say of a migration (guide 6 and 8), by its name in `guardian:signOff`: what it stands for. The first two
 * are asked of the endpoints that the stack names, and signed off where it names none.
 */
export const signOffs = {
  "api-endpoints": "every endpoint of the API responds as it did before",
  "external-systems": "systems outside reach FHIR, and are reached",
  "user-acceptance": "sample users have tried it and accepted it, the consent dashboard and an upload among it",
  "user-experience": "users' experience is not severely impacted",
  "documentation-updated": "the documentation says what v7 does",
  "support-trained": "the support team is trained",
} as const;

export type SignOffItem = keyof typeof signOffs;

/** Who signed off, when and why: `on` is a day, 2026-11-30. */
interface SignOff {
  readonly by: string;
  readonly on: string;
  readonly note: string;
}

/** What a stack has signed off. */
export type SignedOff = Readonly<Partial<Record<SignOffItem, SignOff>>>;

/** Of FHIR's own endpoint: it answers with what the server can do (FHIR R4, http.html#capabilities). */
export const isFhir = (url: string): boolean => /\/metadata$/.test(url);
