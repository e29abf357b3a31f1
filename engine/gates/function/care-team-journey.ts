import { randomUUID } from "node:crypto";
import { tried } from "./tried";

const feature = "real_time_collaboration";

/** Guide 6.3, "End-to-End Workflows": a patient and whom he lets in work on a note, and whom he puts out sees it no more. */
export const careTeamJourney = tried({
  name: "care-team-journey",
  asks: "whether a patient calls a session, a person he lets in joins and writes, two who write at once are told, and who is put out sees nothing",
  needs: [
    "public.create_collaboration_session",
    "public.join_collaboration",
    "public.save_collaborative_note",
    "public.is_feature_enabled_for_user",
  ],
  of: "two accounts",
  async run(steps, { account, other }) {
    const [patient, provider, stranger] = [{ person: account }, { person: other ?? "" }, { person: randomUUID() }];
    // In the trial the feature is on for these two, whatever its rollout is.
    const flag =
      "UPDATE public.feature_flags SET enabled = $2, enabled_for_users = $3, rollout_percentage = 0 WHERE feature_name = $1";
    await steps.ask("the feature is off", "server", flag, [feature, false, []]);
    const call = "SELECT public.create_collaboration_session($1, 'Trial', 'treatment_planning')";
    await steps.refused("without the feature no session is called", "55000", patient, call, [account]);
    await steps.ask("the feature is on for two", "server", flag, [feature, true, [account, other]]);
    steps.notes.push(`in the trial ${feature} was on for two accounts, whatever its rollout is`);
    const session = await steps.value("the patient calls a session", patient, call, [account]);
    const join = "SELECT public.join_collaboration($1)";
    await steps.refused("who was not invited does not join", "42501", provider, join, [session]);
    const invite = "SELECT public.invite_to_collaboration($1, $2, 'editor')";
    await steps.expect("the patient invites a person", patient, true, invite, [session, other]);
    await steps.expect("who joins", provider, 1, join, [session]);
    await steps.expect("and the patient too", patient, 2, join, [session]);
    const write = "SELECT * FROM public.save_collaborative_note($1, 'Trial', $2, $3, $4)";
    const [saved] = await steps.ask<{ result: string; note_id: string }>("the person writes a note", provider, write, [
      session,
      "one",
      null,
      null,
    ]);
    steps.hold("it is saved", saved?.result === "saved");
    const next = `SELECT result FROM public.save_collaborative_note($1, 'Trial', $2, $3, $4)`;
    await steps.expect("the patient writes on", patient, "saved", next, [session, "two", saved?.note_id, 1]);
    await steps.expect("who writes over it is told", provider, "conflict", next, [session, "x", saved?.note_id, 1]);
    const sees = "SELECT count(*)::integer FROM public.collaborative_clinical_notes WHERE session_id = $1";
    if (steps.becomes) {
      await steps.expect("the person sees the note", provider, 1, sees, [session]);
      await steps.expect("a stranger does not", stranger, 0, sees, [session]);
    }
    const remove = "SELECT public.remove_from_collaboration($1, $2)";
    await steps.expect("the patient puts the person out", patient, true, remove, [session, other]);
    if (steps.becomes) await steps.expect("who sees the note no more", provider, 0, sees, [session]);
    await steps.refused("nor joins again", "42501", provider, join, [session]);
    const end = "SELECT public.end_collaboration_session($1)";
    await steps.expect("the patient ends the session", patient, true, end, [session]);
  },
});
