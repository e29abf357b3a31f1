import { randomUUID } from "node:crypto";
import { tried } from "./tried";

/** No application asks for a purpose of this name. */
const purpose = "guardian_gate_trial";

const open = "SELECT public.check_consent_access($1, $2, NULL, $3, 'data_sharing')";
const give = "SELECT public.grant_patient_consent($1, 'data_sharing', $3, $2)";

/** Guide 6.3, "Consent Management": given, read, used and taken back, by the patient and by nobody else. */
export const consentFlow = tried({
  name: "consent-flow",
  asks: "whether a patient gives, reads and revokes a consent, the recipient has access meanwhile, and nobody else decides",
  needs: [
    "public.grant_patient_consent",
    "public.revoke_patient_consent",
    "public.check_consent_access",
    "public.consents_to_me",
  ],
  async run(steps, { account }) {
    // A recipient need not be an account (004): of nobody's rows anything is changed.
    const [provider, stranger] = [randomUUID(), randomUUID()];
    const [patient, recipient, third] = [{ person: account }, { person: provider }, { person: stranger }];
    const about = [account, provider, purpose];
    await steps.expect("without a consent a recipient has no access", recipient, false, open, about);
    await steps.refused("a third person gives no consent of the patient's", "42501", third, give, about);
    const id = await steps.value<string>("the patient gives a consent", patient, give, about);
    await steps.expect("with it the recipient has access", recipient, true, open, about);
    await steps.expect("and nobody else has", patient, false, open, [account, stranger, purpose]);
    await steps.expect("given twice it is one", patient, id, give, about);
    const own =
      "SELECT count(*)::integer FROM public.user_consent_summary WHERE consent_id = $1 AND status = 'granted'";
    await steps.expect("the patient reads it", patient, 1, own, [id]);
    const rows = "SELECT count(*)::integer FROM public.patient_consents WHERE id = $1";
    // The owner of the tables is shown every row, and may ask of anybody.
    if (steps.becomes) {
      await steps.expect("the recipient does not read the patient's row", recipient, 0, rows, [id]);
      await steps.expect("a third person does not either", third, 0, rows, [id]);
      await steps.refused("a third person may not ask who has access", "42501", third, open, about);
    }
    const mine = "SELECT count(*)::integer FROM public.consents_to_me() WHERE consent_id = $1";
    await steps.expect("the recipient is told of it", recipient, 1, mine, [id]);
    await steps.expect("a third person is not", third, 0, mine, [id]);
    const revoke = "SELECT public.revoke_patient_consent($1, 'trial')";
    await steps.refused("a third person does not revoke it", "42501", third, revoke, [id]);
    await steps.expect("the patient revokes it", patient, true, revoke, [id]);
    await steps.expect("from then on the recipient has no access", recipient, false, open, about);
    await steps.expect("revoked twice is revoked once", patient, false, revoke, [id]);
    await steps.expect(
      "the audit trail has what was done, once each",
      "server",
      ["granted", "revoked"],
      `SELECT array_agg(a.action ORDER BY a.action) FROM public.patient_consent_audit a
       WHERE a.consent_id = $1 AND a.action IN ('granted', 'revoked') AND a.patient_id = $2 AND a.action_by = $2`,
      [id, account],
    );
  },
});
