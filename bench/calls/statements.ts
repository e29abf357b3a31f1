import type { Client } from "pg";

/** Somebody who asks, and a patient who consented to exactly this. */
export interface Person {
  patient: string;
  accessor: string;
}

/** One statement of a request. */
export interface Call {
  text: string;
  values: (person: Person) => string[];
  /** What its one row must say, so that no refusal is measured; `changed`: it changes one row and says nothing. */
  expected: unknown;
  /** The table whose index its plan must use; `small`: it fits into one page, so that reading that is as good. */
  reads?: { table: string; small: boolean };
}

/** The calls by name. */
export const statements = {
  select1: { text: "SELECT 1 AS answer", values: () => [], expected: 1 },
  consentCheck: {
    text: "SELECT public.check_consent_access($1, $2) AS answer",
    values: ({ patient, accessor }) => [patient, accessor],
    expected: true,
    reads: { table: "patient_consents", small: false },
  },
  flagCheck: {
    text: "SELECT public.is_feature_enabled_for_user('enhanced_consent', $1) IS NOT NULL AS answer",
    values: ({ accessor }) => [accessor],
    expected: true,
    reads: { table: "feature_flags", small: true },
  },
  preferenceUpdate: {
    // Another value than before, whoever measured last: a write that changes nothing would be cheaper.
    text: `UPDATE public.user_preferences SET theme = CASE theme WHEN 'dark' THEN 'light' ELSE 'dark' END
           WHERE user_id = $1`,
    values: ({ accessor }) => [accessor],
    expected: "changed",
    reads: { table: "user_preferences", small: false },
  },
} satisfies Record<string, Call>;
/** The name of a call. */
export type Name = keyof typeof statements;
/** The calls in order. */
export const names = Object.keys(statements) as Name[];

/** As PostgREST does it: the request's role, and who it is. */
export async function become(client: Client, { accessor }: Person): Promise<void> {
  const claims = JSON.stringify({ sub: accessor, role: "authenticated" });
  const text = "SELECT set_config('role', 'authenticated', false), set_config('request.jwt.claims', $1, false)";
  await client.query({ name: "become", text, values: [claims] });
}

/** @returns milliseconds of one call. @throws Error if it did not do what it is for */
export async function timed(client: Client, name: Name, person: Person): Promise<number> {
  const { text, values, expected }: Call = statements[name];
  const query = { name, text, values: values(person) };
  const began = performance.now();
  const { rows, rowCount } = await client.query<{ answer: unknown }>(query);
  const ms = performance.now() - began;
  const answered = expected === "changed" ? rowCount === 1 : rows.length === 1 && rows[0]?.answer === expected;
  if (!answered) throw new Error(`${name} did not answer as it should`);
  return ms;
}
