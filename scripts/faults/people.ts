import type { Client } from "pg";
import { GuardianError } from "../../engine/base/errors";
import { asUser } from "../v6/database";

/**
 * What three users do with v7, by the application's own role and with their own tokens: one withdraws the consent that was
 * assumed for him, one grants another, one changes how he is addressed. Who they are follows from the seed.
 */
export async function useV7(client: Client, seed: string, n: number): Promise<void> {
  const whose = (from: string): Promise<string> =>
    pick(client, `${from} ORDER BY md5(u.id::text || $1) LIMIT 1`, seed, n);
  const revoking = await whose(
    `SELECT u.id FROM auth.users u JOIN public.patient_consents c ON c.patient_id = u.id
     WHERE c.granted AND c.consent_type = 'data_sharing'`,
  );
  await asUser(
    client,
    revoking,
    `SELECT public.revoke_patient_consent(c.id, 'made up') FROM public.patient_consents c
     WHERE c.patient_id = $1 AND c.consent_type = 'data_sharing' AND c.granted`,
  );
  const granting = await whose(
    `SELECT u.id FROM auth.users u WHERE NOT EXISTS (
       SELECT FROM public.patient_consents c WHERE c.patient_id = u.id AND c.consent_type = 'research_participation')`,
  );
  await asUser(client, granting, "SELECT public.grant_patient_consent($1, 'research_participation', 'research')");
  const changing = await whose("SELECT u.id FROM auth.users u JOIN public.user_preferences p ON p.user_id = u.id");
  await asUser(
    client,
    changing,
    `UPDATE public.user_preferences SET theme = 'dark', font_size = CASE font_size WHEN 'large' THEN 'small' ELSE 'large' END
     WHERE user_id = $1`,
  );
}

async function pick(client: Client, sql: string, seed: string, n: number): Promise<string> {
  const { rows } = await client.query<{ id: string }>(sql, [`${seed} ${n}`]);
  if (rows[0]) return rows[0].id;
  throw new GuardianError("measurement-failed", { what: "every user has written by now", todo: "give more --users" });
}
