import type { Client } from "pg";
import { value } from "../support/modules";

/** What the flag tests apply. */
export const modules = ["000_audit_log", "001_feature_flags"];
/** The flag that stands for all twelve. */
export const flag = "fhir_integration";
/** Any user; flags know users by their id alone. */
export const user = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
/** The question itself: $1 flag, $2 user. */
export const enabled = "SELECT public.is_feature_enabled_for_user($1, $2)";
/** How many of users 1 to n have a flag. */
export const having = (client: Client, name: string, n = 1000): Promise<string> =>
  value(
    client,
    `SELECT count(*) FILTER (WHERE public.is_feature_enabled_for_user($1, u::uuid))
     FROM unnest($2::text[]) AS u`,
    [name, Array.from({ length: n }, (_, i) => user(i + 1))],
  );
/** Changes a flag as its owner, the stack. */
export const set = (client: Client, values: string, name = flag): Promise<unknown> =>
  client.query(`UPDATE public.feature_flags SET ${values} WHERE feature_name = $1`, [name]);
