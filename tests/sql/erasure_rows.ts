/** Whose row it is: his own, another patient's that mentions him, or nobody's yet. */
export type Kind = "his" | "others" | "nobodys";

/** What a row of each table needs besides its keys, as SQL expressions: what its checks want, and a state in which it has ended. */
export function bases(kind: Kind): Record<string, Record<string, string>> {
  const json = (value: unknown): string => `'${JSON.stringify(value)}'::jsonb`;
  const long = "now() - interval '29 days'";
  const resource = (type: string, more: object): Record<string, string> => ({
    resource: json({ resourceType: type, subject: { reference: "Patient/x" }, ...more }),
    source_system: "'clinic'",
  });
  const ended = { status: "'completed'", created_at: long };
  return {
    "auth.users": { created_at: "now()" },
    "public.audit_log": { table_name: "'public.x'", record_key: "'x'", action: "'XX'", actor_role: "'x'" },
    "public.feature_flags": { feature_name: `'${kind}'`, description: "'x'" },
    "public.fhir_patient_mappings": { fhir_patient_id: `'${kind}'`, ...resource("Patient", { identifier: [] }) },
    "public.fhir_observations": {
      fhir_observation_id: `'${kind}'`,
      ...resource("Observation", { status: "final", code: {} }),
      guardian_lab_result_id: "NULL",
      guardian_vital_id: "NULL",
    },
    "public.fhir_medication_requests": {
      fhir_request_id: `'${kind}'`,
      ...resource("MedicationRequest", { status: "active", intent: "plan", medicationReference: { reference: "x" } }),
      guardian_medication_id: "NULL",
    },
    "public.fhir_document_references": {
      fhir_document_id: `'${kind}'`,
      ...resource("DocumentReference", { status: "current", content: [] }),
      guardian_document_id: "NULL",
    },
    "public.consent_fhir_mappings": {
      fhir_resource_id: `'${kind}'`,
      resource: json({ resourceType: "Consent", status: "active", scope: { coding: [] }, category: [] }),
    },
    "public.fhir_endpoints": { system_name: `'${kind}'`, base_url: "'https://a.example'", auth_type: "'none'" },
    "public.fhir_oauth_configs": { authorization_url: "'https://a.example'", token_url: "'https://a.example'" },
    "public.fhir_sync_jobs": { resource_type: "'Patient'", operation: "'import'", ...ended },
    "public.fhir_validation_results": {
      is_valid: "false",
      validation_errors: json([{ path: "Patient" }]),
      created_at: long,
    },
    "public.fhir_api_audit": {
      operation: "'read'",
      resource_type: "'Patient'",
      request_url: "'https://a.example/Patient/x'",
    },
    "public.hl7_messages": {
      message_type: "'ADT^A08'",
      message_control_id: `'${kind}'`,
      received_at: long,
    },
    "public.hl7_to_fhir_conversions": { fhir_resources: "'[]'" },
    "public.legacy_system_mappings": { fhir_resource_type: "'Patient'" },
    "public.legacy_import_jobs": { fhir_resource_type: "'Patient'", ...ended },
    "public.patient_consents": {
      consent_type: "'data_sharing'",
      purpose: "'research'",
      granted: "true",
      legal_basis: "'consent'",
      consent_evidence: "'{}'::jsonb",
      consent_metadata: "'{}'::jsonb",
    },
    "public.patient_consent_audit": { action: "'granted'" },
    "public.user_preferences": { quiet_hours: json({ enabled: false, start: "22:00", end: "08:00" }) },
    "public.document_processing_pipelines": { pipeline_name: `'${kind}'`, stages: json([{ stage: "x" }]) },
    "public.document_processing_queue": { processor_type: "'ocr_extraction'" },
    "public.notification_queue": { notification_type: "'care_team_message'" },
    "public.notification_delivery_channels": { channel_type: "'email'", channel_identifier: "'x@example.org'" },
    "public.collaboration_sessions": { session_type: "'care_team_meeting'" },
    "public.collaboration_participants": { admitted_by: "'consent'" },
    "public.collaborative_clinical_notes": { note_type: "'progress_note'" },
    "public.collaboration_conflicts": {
      conflict_type: "'version_mismatch'",
      status: "'resolved'",
      resolution_strategy: "'merge'",
      resolved_at: "now()",
    },
    "guardian_migration.step": { state: "'done'" },
    "guardian_migration.object": { apply_id: "(SELECT max(apply_id) FROM guardian_migration.module)" },
    "guardian_migration.archived": { apply_id: "(SELECT max(apply_id) FROM guardian_migration.module)" },
    "guardian_migration.batch": { step_id: "(SELECT max(id) FROM guardian_migration.step)" },
  };
}
