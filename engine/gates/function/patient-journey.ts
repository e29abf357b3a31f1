import { begin, finish, nextStage } from "./document-pipeline";
import { tried } from "./tried";

/** Guide 6.3, "End-to-End Workflows": what a patient does in a day, one thing after the other. Of no flag's value. */
export const patientJourney = tried({
  name: "patient-journey",
  asks: "whether a patient finds the features, shares the record, has a document processed, is told, exports it all and changes preferences",
  needs: [
    "public.my_feature_flags",
    "public.get_user_preferences",
    "public.grant_patient_consent",
    "public.enqueue_document",
    "public.claim_notifications",
    "public.guardian_to_fhir_bundle",
  ],
  of: "document",
  async run(steps, subject) {
    const { account } = subject;
    const patient = { person: account };
    const known = "SELECT count(*) >= 12 FROM public.my_feature_flags()";
    await steps.expect("the patient is told of every feature", patient, true, known);
    const give = "SELECT public.grant_patient_consent($1, 'data_sharing', 'guardian_gate_trial')";
    const consent = await steps.value<string>("the patient gives a consent", patient, give, [account]);
    const run = await begin(steps, subject);
    await finish(steps, "the document is read", await nextStage(steps, run, "read"));
    await finish(steps, "the document is mapped", await nextStage(steps, run, "map"));
    const told = await steps.ask<{ id: string }>(
      "the patient is told that the document is done",
      "server",
      `UPDATE public.notification_queue SET scheduled_for = '2000-01-01Z', expires_at = pg_catalog.now() + interval '1 hour', priority = 'urgent'
       WHERE user_id = $1 AND dedup_key = 'document:' || $2 || ':completed' RETURNING id`,
      [account, run],
    );
    steps.hold("once", told.length === 1);
    const [lease] = await steps.ask<{ id: string; lease_token: string }>(
      "a worker takes the message",
      "server",
      "SELECT id, lease_token FROM public.claim_notifications('guardian gate', 1)",
    );
    steps.hold("it is this one", lease?.id === told[0]?.id);
    const deliver = "SELECT public.complete_notification($1, $2, '{in_app}')";
    await steps.expect("it is delivered", "server", true, deliver, [lease?.id, lease?.lease_token]);
    const mark = "SELECT public.mark_notification($1, 'clicked')";
    await steps.expect("the patient opens it", patient, true, mark, [lease?.id]);
    const shared = `SELECT count(*)::integer FROM jsonb_array_elements(public.guardian_to_fhir_bundle($1) -> 'entry') AS e
      WHERE e #>> '{resource,resourceType}' = 'Consent' AND e #>> '{resource,id}' = $2`;
    await steps.expect("the patient's export has the consent", patient, 1, shared, [account, consent]);
    const document = `SELECT count(*)::integer FROM jsonb_array_elements(public.guardian_to_fhir_bundle($1) -> 'entry') AS e
      WHERE e #>> '{resource,resourceType}' = 'DocumentReference' AND e #>> '{resource,id}' = $2`;
    await steps.expect("and the document", patient, 1, document, [account, subject.document]);
    // Last, and the rollback comes next: the row is a real patient's, who could not change it meanwhile.
    await steps.ask("the patient opens the preferences", patient, "SELECT public.get_user_preferences()");
    const change =
      "UPDATE public.user_preferences SET theme = 'dark', language = 'en-AU' WHERE user_id = $1 RETURNING theme || ' ' || language";
    await steps.expect("the patient changes them", patient, "dark en-AU", change, [account]);
    const read = "SELECT p ->> 'theme' FROM public.get_user_preferences() AS p";
    await steps.expect("and finds them changed", patient, "dark", read);
  },
});
