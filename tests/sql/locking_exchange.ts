import type { Group } from "./locking";

const [message, endpoint] = [1, 2].map((n) => `00000000-0000-0000-0000-00000000000${n}`);
const jwe = "eyJhbGciOiJkaXIifQ..aaaa.bbbb.cccc";

/** Modules 001 and 009: one flag, which users are put on and operators switch off. */
export function flagGroup([user]: readonly string[]): Group {
  const flag = "document_queue_v2";
  const by = (who: string, of: string, call: string) => ({ of: `public.${of}`, by: who, sql: `SELECT public.${call}` });
  const world = (
    on: boolean,
  ) => `UPDATE public.feature_flags SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}';
    UPDATE public.feature_flags SET enabled = ${on}, rollout_percentage = 50 WHERE feature_name = '${flag}'`;
  return {
    name: "a flag",
    worlds: { "it is on": world(true), "it is off": world(false) },
    calls: {
      "a user is put on it": by(
        "service_role",
        "enable_feature_for_user(text, uuid, integer)",
        `enable_feature_for_user('${flag}', '${user}')`,
      ),
      "a user is taken off it": by(
        "service_role",
        "disable_feature_for_user(text, uuid)",
        `disable_feature_for_user('${flag}', '${user}')`,
      ),
      "it is reset": by("guardian_operator", "reset_feature_flag(text)", `reset_feature_flag('${flag}')`),
      "all are switched off": by(
        "guardian_operator",
        "emergency_rollback_to_v6()",
        "emergency_rollback_to_v6() LIKE '% 1 of 12 flags%'",
      ),
    },
    state: `SELECT concat_ws(' ', f.enabled, f.rollout_percentage, f.enabled_for_users) FROM public.feature_flags AS f WHERE f.feature_name = '${flag}'`,
    hold: "SELECT FROM public.feature_flags ORDER BY feature_name FOR UPDATE",
    changes: {},
  };
}

/** Module 003: what is imported, built and configured. */
export function exchangeGroup([one, two]: readonly string[]): Group {
  const by = (who: string, of: string, sql: string) => ({ of: of === "-" ? of : `public.${of}`, by: who, sql });
  const patient = (user: string | undefined) =>
    by(
      "service_role",
      "fhir_to_guardian_patient(jsonb, text, uuid)",
      `SELECT public.fhir_to_guardian_patient('{"resourceType": "Patient", "id": "p1", "identifier": [{"value": "1"}]}', 'hospital', '${user}')`,
    );
  const world = (
    age: string,
  ): string => `DELETE FROM public.fhir_patient_mappings; DELETE FROM public.fhir_observations;
    DELETE FROM public.hl7_to_fhir_conversions; DELETE FROM public.hl7_messages; DELETE FROM public.fhir_oauth_configs; DELETE FROM public.fhir_endpoints;
    INSERT INTO public.hl7_messages (id, message_type, message_control_id, raw_message, received_at) VALUES ('${message}', 'ADT^A08', '1', 'MSH', now() - interval '${age}');
    INSERT INTO public.fhir_endpoints (id, system_name, base_url, auth_type) VALUES ('${endpoint}', 'hospital', 'https://hospital.example', 'oauth2');
    INSERT INTO public.fhir_oauth_configs (endpoint_id, authorization_url, token_url, client_id) VALUES ('${endpoint}', 'https://hospital.example/a', 'https://hospital.example/t', 'c');
    INSERT INTO public.fhir_patient_mappings (guardian_user_id, fhir_patient_id, source_system, resource)
    VALUES ('${one}', 'p0', 'hospital', '{"resourceType": "Patient", "id": "p0", "identifier": [{"value": "0"}]}')`;
  return {
    name: "what is exchanged",
    worlds: {
      "nothing is here": world("0 days"),
      // One that is being converted is passed over, and goes with the next run.
      "a message is too old": world("29 days"),
    },
    only: { "a message is too old": ["what is of no account goes", "its patient becomes known"] },
    calls: {
      "the mappings are refreshed": by(
        "service_role",
        "refresh_fhir_mappings(uuid, integer)",
        `SELECT r.written FROM public.refresh_fhir_mappings('${one}') AS r WHERE r.mapping = 'fhir_patient_mappings'`,
      ),
      "a Patient is one account": patient(one),
      "the Patient is another account": patient(two),
      "an Observation comes": by(
        "service_role",
        "fhir_to_guardian_observation(jsonb, text)",
        `SELECT public.fhir_to_guardian_observation('{"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "c"}, "subject": {"reference": "Patient/p0"}}', 'hospital')`,
      ),
      "an endpoint is saved": by(
        "guardian_operator",
        "save_fhir_endpoint(text, text, text, jsonb)",
        "SELECT public.save_fhir_endpoint('hospital', 'https://new.example', 'oauth2', '{\"sync_enabled\": false}')",
      ),
      "its secret is saved": by(
        "guardian_operator",
        "save_fhir_oauth_config(text, text, text, text, text, text, text)",
        `SELECT public.save_fhir_oauth_config('hospital', 'https://new.example/a', 'https://new.example/t', 'd', '${jwe}')`,
      ),
      "its tokens are stored": by(
        "service_role",
        "store_fhir_tokens(text, text, text, timestamp with time zone)",
        `SELECT public.store_fhir_tokens('hospital', '${jwe}', NULL, NULL)`,
      ),
      "a message is converted": by(
        "service_role",
        "-",
        `INSERT INTO public.hl7_to_fhir_conversions (hl7_message_id, fhir_resources) VALUES ('${message}', '[]')`,
      ),
      "its patient becomes known": by(
        "service_role",
        "-",
        `UPDATE public.hl7_messages SET guardian_patient_id = '${two}' WHERE id = '${message}'`,
      ),
      "what is of no account goes": by(
        "service_role",
        "expire_fhir_exchange(integer)",
        "SELECT public.expire_fhir_exchange()",
      ),
    },
    state: `SELECT jsonb_build_array(
      (SELECT jsonb_agg(concat_ws(' ', m.fhir_patient_id, m.source_system, m.guardian_user_id = '${one}') ORDER BY m.fhir_patient_id, m.source_system) FROM public.fhir_patient_mappings AS m),
      (SELECT count(*) FROM public.fhir_observations AS o WHERE o.source_system = 'hospital'),
      (SELECT e.base_url || ' ' || e.sync_enabled FROM public.fhir_endpoints AS e),
      (SELECT concat_ws(' ', o.token_url, o.client_secret IS NOT NULL, o.access_token IS NOT NULL) FROM public.fhir_oauth_configs AS o),
      (SELECT jsonb_agg(c.guardian_patient_id = m.guardian_patient_id) FROM public.hl7_to_fhir_conversions AS c, public.hl7_messages AS m),
      (SELECT count(*) FROM public.hl7_messages))`,
    hold: `SELECT pg_advisory_xact_lock(3, 'public.fhir_patient_mappings'::regclass::oid::integer); SELECT FROM public.fhir_patient_mappings FOR UPDATE;
      SELECT FROM public.fhir_endpoints FOR UPDATE; SELECT FROM public.fhir_oauth_configs FOR UPDATE; SELECT FROM public.hl7_messages FOR UPDATE`,
    changes: {
      "the mapping is made by hand": `INSERT INTO public.fhir_patient_mappings (guardian_user_id, fhir_patient_id, source_system, resource)
        VALUES ('${two}', 'p1', 'hospital', '{"resourceType": "Patient", "id": "p1", "identifier": [{"value": "1"}]}')`,
    },
  };
}
