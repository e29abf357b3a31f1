import { randomUUID } from "node:crypto";
import type { Steps } from "./steps";
import { tried, type Subject } from "./tried";

/** No deployment has a pipeline of this name. */
const pipeline = "guardian_gate_trial";

const stages = JSON.stringify([
  { stage: "read", processor_type: "ocr_extraction", order: 1 },
  { stage: "map", processor_type: "fhir_mapping", order: 2 },
]);

interface Claim extends Record<string, unknown> {
  id: string;
  lease_token: string;
  processing_stage: string;
  pipeline_run_id: string;
}

/** So the worker is given this run's work and takes nobody else's. */
const first = `UPDATE public.document_processing_queue SET due_at = '-infinity' WHERE pipeline_run_id = $1 AND status IN ('queued', 'failed')`;
const claim = "SELECT * FROM public.claim_document_work('guardian gate', 1)";
const complete = "SELECT public.complete_document_work($1, $2, '{}'::jsonb, 0.9)";

/** Takes the next stage of a run. @returns its lease, if it is the stage that it should be */
export async function nextStage(steps: Steps, run: unknown, stage: string): Promise<Claim | undefined> {
  await steps.ask(`stage ${stage} is due`, "server", first, [run]);
  const [found] = await steps.ask<Claim>(`a worker takes stage ${stage}`, "server", claim);
  steps.hold(`it is stage ${stage} of this run`, found?.processing_stage === stage && found.pipeline_run_id === run);
  return found;
}

/** Puts a document into a pipeline of two stages, for as long as the trial lasts. @returns the run's id */
export async function begin(steps: Steps, { document }: Subject): Promise<unknown> {
  const text = "SELECT public.save_document_pipeline($1, $2::jsonb, 'made by a gate, never committed')";
  await steps.ask("a pipeline is made", "server", text, [pipeline, stages]);
  const run = await steps.value("a document is queued", "server", "SELECT public.enqueue_document($1, $2, 1)", [
    document,
    pipeline,
  ]);
  return run;
}

export const finish = (steps: Steps, what: string, lease: Claim | undefined): Promise<void> =>
  steps.expect(what, "server", true, complete, [lease?.id, lease?.lease_token]);

/** Guide 6.3, "Document Processing": from queued to done, with a failure in between, and one lease at a time. */
export const documentPipeline = tried({
  name: "document-pipeline",
  asks: "whether a document goes through its stages from queued to done, also after a failure, and its patient alone sees it",
  needs: ["public.enqueue_document", "public.claim_document_work", "public.complete_document_work"],
  of: "document",
  async run(steps, subject) {
    const patient = { person: subject.account };
    const run = await begin(steps, subject);
    const again = "SELECT public.enqueue_document($1, $2, 1)";
    await steps.expect("queued twice it is one run", "server", run, again, [subject.document, pipeline]);
    const status =
      "SELECT overall_status || ' ' || progress_percentage FROM public.user_document_processing_status WHERE pipeline_run_id = $1";
    await steps.expect("the patient sees it waiting", patient, "queued 0", status, [run]);
    const reading = await nextStage(steps, run, "read");
    const stolen = [reading?.id, randomUUID()];
    await steps.expect("another's token completes nothing", "server", false, complete, stolen);
    const beat = "SELECT public.heartbeat_document_work($1, $2, '5 minutes', 50)";
    await steps.expect("the worker keeps its lease", "server", true, beat, [reading?.id, reading?.lease_token]);
    await finish(steps, "the first stage is completed", reading);
    const mapping = await nextStage(steps, run, "map");
    const fail = "SELECT public.fail_document_work($1, $2, 'trial')";
    const lease = [mapping?.id, mapping?.lease_token];
    await steps.expect("the second stage fails, and will be tried again", "server", "failed", fail, lease);
    const second = await nextStage(steps, run, "map");
    await finish(steps, "the second stage is completed", second);
    await steps.expect("what is completed is not completed again", "server", false, complete, [
      second?.id,
      second?.lease_token,
    ]);
    await steps.expect("the patient sees it done", patient, "completed 100", status, [run]);
    if (steps.becomes) await steps.expect("nobody else sees it", { person: randomUUID() }, null, status, [run]);
  },
});
