/** Why something of an erased person stays, or may. */
export interface Reason {
  title: string;
  /** What it is, and why it is not erased. */
  why: string;
  /** The articles that say so, or the fact of the product. */
  by: string;
}

export const reasons = {
  record: {
    title: "Another patient's record",
    why: "What was written about another patient is that patient's record, whoever wrote it and whoever is named in it. The id of its author goes; his name within words is found by no machine, and whose hand is in a record must not change it afterwards.",
    by: "GDPR Articles 17(3)(c), 9(2)(h) and 9(3): health care under professional secrecy; 17(3)(b), where a law says how long records are kept",
  },
  proof: {
    title: "Another patient's consent",
    why: "The proof to whom and for what that patient gave, refused or withdrew it, which is his to show. The recipient stands there as an id; NULL would turn the consent into a general one.",
    by: "GDPR Articles 7(1), 17(3)(b) and 17(3)(e)",
  },
  audit: {
    title: "Audit trails",
    why: "Who did what to which record and when: ids, names of columns, states and times, append-only. Once the account is gone they name nobody. Of calls to other systems: the route without ids, and the resource's id as a digest.",
    by: "HIPAA, 45 CFR 164.312(b) and 164.316(b)(2)(i): six years; GDPR Articles 5(2) and 32 with 17(3)(b), and 17(3)(e)",
  },
  own: {
    title: "Another user's own entries and messages",
    why: "Whom another user calls in an emergency, how he arranged his pages, where he wants messages and what he was told. They are his data too, and he changes them himself.",
    by: "GDPR Articles 6(1)(f) and 17(1)(c), of emergency contacts 6(1)(d) and 9(2)(c): the other user's interest prevails",
  },
  pending: {
    title: "Of no account yet, for 28 days",
    why: "What came from other systems and was not linked to an account is found by no erasure. `expire_fhir_exchange()`, which a clock job calls once a day until it answers 0, takes it away after 28 days; of ended jobs the search parameters. In the archive of a rollback it waits until the next `up`, or `npm run purge`.",
    by: "GDPR Article 12(3): an erasure is due within one month",
  },
  ids: {
    title: "An id that leads to nobody",
    why: "A random id in the stack's list of a flag's first users, which is the operator's to change, or as the key of a row in the migration's plan, by which it is taken back. With the account goes all that says whose it was.",
    by: "GDPR Recital 26 and Article 11: the person is not identifiable any more",
  },
  invited: {
    title: "Who was invited, and was no account",
    why: "An invitation does not tell whether there is such an account, so that the id it names is kept without a key until somebody joins by it. It goes with the session; what names its owner is nowhere.",
    by: "GDPR Recital 26 and Article 11: the person is not identifiable any more",
  },
  keys: {
    title: "Keys of rows",
    why: "Ids of sessions, runs, resources and the like. No function puts a person's there; the test did.",
    by: "a fact of the product",
  },
  settings: {
    title: "What operators set up",
    why: "Servers, pipelines, mappings of fields, made-up test cases, notes on a migration. No user, worker or other system writes there; a person whom an operator named there is the operator's to take out.",
    by: "a fact of the product: written by operators and the stack only",
  },
  words: {
    title: "The product's own words",
    why: "Names of tables, states, codes, SQL texts and counts, which the modules, the jobs of the server side or the migration write themselves. No value of a row gets there.",
    by: "a fact of the product",
  },
  v6: {
    title: "v6's own tables",
    why: "Rows about other patients, or of no account, in tables that the migration does not change. His own rows go by v6's own keys.",
    by: "as another patient's record; what v6 keeps of no account is v6's to clear",
  },
} as const satisfies Record<string, Reason>;

export type ReasonName = keyof typeof reasons;

/** Columns by table; without a schema it is public. */
type Columns = Readonly<Record<string, string>>;

/**
 * What may still hold an id, a name or words of an erased person, in rows that are not his. tests/sql/erasure.test.ts holds
 * that it is this and nothing else: whoever adds a column that can hold such, decides here.
 */
export const stays: Readonly<Record<ReasonName, Columns>> = {
  record: {
    collaboration_sessions: "session_name",
    collaborative_clinical_notes: "title content",
    collaborative_note_versions: "title content",
    collaboration_conflicts: "attempted_title attempted_content",
    fhir_patient_mappings: "fhir_patient_id source_system resource source_version sync_errors",
    fhir_observations: "fhir_observation_id source_system resource source_version sync_errors",
    fhir_medication_requests: "fhir_request_id source_system resource source_version sync_errors",
    fhir_document_references: "fhir_document_id source_system resource source_version sync_errors",
    fhir_sync_jobs: "date_filter resource_filter",
    fhir_validation_results:
      "resource_type resource_id source_system validation_errors validation_warnings validation_profile mapping_errors",
    hl7_messages:
      "message_control_id sending_application sending_facility receiving_application receiving_facility raw_message message_segments processing_errors patient_identifier",
    hl7_to_fhir_conversions: "fhir_resources conversion_errors conversion_rules_version target_profile",
    document_processing_queue:
      "processing_stage processor_config error_code error_message processing_results pipeline_name leased_by",
  },
  proof: {
    patient_consents:
      "resource_type granted_to purpose consent_evidence revocation_reason consent_metadata consent_version",
    consent_fhir_mappings:
      "fhir_resource_id resource external_fhir_server external_resource_id source_version fhir_sync_errors",
  },
  audit: {
    audit_log: "table_name record_key action changed_columns actor actor_role",
    patient_consent_audit: "consent_id patient_id action_by action_role changed_columns previous_state new_state",
    fhir_api_audit: "endpoint_id operation resource_type guardian_user_id initiated_by",
  },
  own: {
    user_preferences: "preferred_units hide_sensitive_conditions dashboard_layout quiet_hours emergency_contacts",
    notification_queue: "title body data dedup_key error_code leased_by delivered_channels failed_channels",
    notification_delivery_channels: "channel_identifier verification_hash notification_types_enabled",
  },
  pending: {
    hl7_messages:
      "message_control_id sending_application sending_facility receiving_application receiving_facility raw_message message_segments processing_errors patient_identifier",
    hl7_to_fhir_conversions: "fhir_resources conversion_errors conversion_rules_version target_profile",
    fhir_validation_results:
      "resource_type resource_id source_system validation_errors validation_warnings validation_profile mapping_errors guardian_resource_id",
    fhir_sync_jobs: "date_filter resource_filter",
  },
  ids: {
    feature_flags: "enabled_for_users",
    "guardian_migration.range": "key_from key_to",
    "guardian_migration.change": "key",
    "guardian_migration.reject": "key",
    "guardian_migration.batch": "key_from key_to",
  },
  invited: {
    collaboration_participants: "user_id",
    audit_log: "record_key",
  },
  keys: {
    collaborative_note_versions: "session_id",
    collaboration_conflicts: "session_id",
    document_processing_queue: "pipeline_run_id",
    fhir_validation_results: "guardian_resource_id",
    notification_queue: "digest_id",
    "guardian_migration.range": "batch_id",
    "guardian_migration.step": "ledger_id",
  },
  settings: {
    feature_flags: "feature_name configuration description",
    fhir_endpoints: "system_name base_url auth_config supported_resources supported_operations sync_errors",
    fhir_oauth_configs: "authorization_url token_url client_id scope launch_url",
    fhir_test_cases: "test_name description resource_type test_data expected_errors",
    legacy_system_mappings: "system_name source_entity source_field fhir_resource_type fhir_path transformation",
    document_processing_pipelines: "pipeline_name description document_types stages",
    migration_sessions:
      "migration_type source_version target_version current_step error_summary notes initiated_by migration_environment",
  },
  words: {
    fhir_sync_jobs: "resource_type",
    legacy_import_jobs: "system_name fhir_resource_type",
    migration_session_steps: "step_name kind",
    v6_row_counts: "entity relation",
    v6_query_times: "test_name",
    "guardian_migration.ledger": "system_identifier database stack holder created_by former_names",
    "guardian_migration.step": "urn part kind meaning physical_id detail",
    "guardian_migration.module": "urn name manifest up down verify",
    "guardian_migration.object": "object definition",
    "guardian_migration.archived": "original archived_as subject",
    "guardian_migration.batch": "urn target checksum",
    "guardian_migration.range": "urn",
    "guardian_migration.change": "migration",
    "guardian_migration.reject": "urn sqlstate object",
  },
  v6: {
    documents: "s3_key original_name mime_type extracted_text error_log medical_data normalization_errors",
    user_profiles: "language timezone first_name last_name phone",
    patient_medications:
      "medication_name dosage frequency route prescriber source_document_ids normalized_name duplicate_group_id",
    patient_allergies:
      "allergen allergy_type reaction_description source_document_ids normalized_allergen duplicate_group_id",
    patient_conditions:
      "condition_name icd10_code condition_category description source_document_ids normalized_condition duplicate_group_id",
    patient_lab_results:
      "test_name test_code result_value unit reference_range ordering_provider lab_facility normalized_test_name",
    patient_vitals: "measurement_context",
    patient_providers:
      "provider_name specialty facility_name phone address provider_type source_document_ids normalized_name duplicate_group_id",
  },
};
