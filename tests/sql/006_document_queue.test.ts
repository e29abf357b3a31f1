import { expect } from "chai";
import { asRole } from "../support/postgres";
import {
  count,
  deleteAccount,
  as,
  describeLifecycle,
  expectRefusal,
  queryAs,
  refusal,
  service,
  testOn,
  value,
} from "../support/modules";
import { claim, complete, documents, enqueue, fail, later, modules, queueModule, save, stages } from "./006_queue";

const status = "SELECT user_status || ' ' || progress_percentage FROM public.user_document_processing_status";

const test = testOn(modules);

describe("006_document_queue", function () {
  this.timeout(60_000);

  describeLifecycle(queueModule, {
    "ALTER TABLE public.document_processing_queue DISABLE ROW LEVEL SECURITY":
      /document_processing_queue: NO row security/,
    "GRANT INSERT ON public.document_processing_queue TO authenticated": /authenticated may INSERT/,
    "GRANT SELECT (lease_token) ON public.document_processing_queue TO authenticated":
      /attempts, max_attempts, lease_token/,
    "ALTER POLICY document_processing_queue_own ON public.document_processing_queue USING (true)":
      /queue_own for SELECT to authenticated using true/,
    "ALTER VIEW public.user_document_processing_status SET (security_invoker = false)": /security_invoker=false/,
    "ALTER TABLE public.document_processing_queue DROP CONSTRAINT document_processing_queue_document_id_fkey":
      /missing \[.*documents\(id\) ON DELETE CASCADE/,
    "ALTER TABLE public.document_processing_queue DROP CONSTRAINT document_processing_queue_stage_key":
      /missing \[.*queue_stage_key/,
    "DROP INDEX public.document_processing_queue_claim_idx": /missing \[.*claim_idx/,
    "GRANT EXECUTE ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) TO authenticated":
      /enqueue_document.*authenticated may EXECUTE/,
    "ALTER FUNCTION public.document_queue_depth() RESET search_path": /document_queue_depth.*NOT pinned/,
  });

  test("U-4: a run goes stage by stage to its end, and V6-3: v6's documents do not notice", async (client) => {
    const [document] = await documents(client);
    const before = await value(client, "SELECT md5(string_agg(d::text, ',' ORDER BY id)) FROM public.documents d");
    await save(client);
    await enqueue(client, document.id);
    expect(await stages(client)).to.deep.equal([
      "ocr queued",
      "analysis waiting",
      "coding waiting",
      "validation waiting",
    ]);
    const order: string[][] = [];
    for (let work = await claim(client); work.length > 0; work = await claim(client)) {
      order.push(work.map((w) => w.processing_stage).sort());
      for (const one of work) expect(await complete(client, one)).to.equal(true);
    }
    expect(order).to.deep.equal([["ocr"], ["analysis", "coding"], ["validation"]]);
    const seen = await queryAs(
      client,
      "authenticated",
      document.owner,
      "SELECT original_name, overall_status, completed_stages, current_stages, completed_at IS NOT NULL AS ended FROM public.user_document_processing_status",
    );
    expect(seen.rows).to.deep.equal([
      {
        original_name: document.name,
        overall_status: "completed",
        completed_stages: "4",
        current_stages: [],
        ended: true,
      },
    ]);
    expect(await as(client, document.owner, status)).to.equal("Processing complete 100");
    expect(await value(client, "SELECT md5(string_agg(d::text, ',' ORDER BY id)) FROM public.documents d")).to.equal(
      before,
    );
  });

  test("U-10 U-11: one status view, one line a document, and nobody sees another's", async (client) => {
    const [one, other] = await documents(client);
    await save(client);
    await enqueue(client, one.id);
    await enqueue(client, other.id);
    const newest = await service(client, "SELECT public.enqueue_document($1, 'standard', 5, gen_random_uuid())", [
      one.id,
    ]);
    const run = "SELECT pipeline_run_id FROM public.user_document_processing_status";
    expect(await as(client, one.owner, run)).to.equal(newest);
    const mine = (user: string) =>
      asRole(client, "authenticated", user, async (c) => {
        const { rows } = await c.query<{ document_id: string }>(
          "SELECT document_id FROM public.user_document_processing_status",
        );
        return rows.map((row) => row.document_id);
      });
    expect(await mine(one.owner)).to.deep.equal([one.id]);
    expect(await mine(other.owner)).to.deep.equal([other.id]);
    expect(await as(client, null, "SELECT count(*) FROM public.user_document_processing_status")).to.equal("0");
    await expectRefusal("42501", queryAs(client, "anon", null, status));
  });

  test("U-12: patients read their own work and cannot forge, change or remove any, nor see a lease", async (client) => {
    const [one, other] = await documents(client);
    await save(client);
    await enqueue(client, one.id);
    const read = "SELECT count(processing_stage) FROM public.document_processing_queue";
    expect(await as(client, one.owner, read)).to.equal("4");
    expect(await as(client, other.owner, read)).to.equal("0");
    for (const [role, sql] of [
      ["authenticated", "INSERT INTO public.document_processing_queue DEFAULT VALUES"],
      ["authenticated", "UPDATE public.document_processing_queue SET status = 'completed'"],
      ["authenticated", "DELETE FROM public.document_processing_queue"],
      ["authenticated", "TRUNCATE public.document_processing_queue"],
      ["authenticated", "SELECT lease_token FROM public.document_processing_queue"],
      ["authenticated", "SELECT error_message FROM public.document_processing_queue"],
      ["authenticated", "SELECT stages FROM public.document_processing_pipelines"],
      ["authenticated", `SELECT public.enqueue_document('${one.id}', 'standard')`],
      ["authenticated", "SELECT public.claim_document_work('me')"],
      ["service_role", "UPDATE public.document_processing_queue SET status = 'completed'"],
      ["service_role", "TRUNCATE public.document_processing_queue"],
    ] as const) {
      await expectRefusal("42501", queryAs(client, role, one.owner, sql), `${role}: ${sql}`);
    }
  });

  test("K-12: the depth counts the statuses that exist, and no row can have one that does not", async (client) => {
    const [one, other] = await documents(client);
    await save(client);
    await enqueue(client, one.id, 2);
    await enqueue(client, other.id, 9);
    const depth = await queryAs(
      client,
      "service_role",
      null,
      "SELECT lane, status, stages FROM public.document_queue_depth()",
    );
    expect(depth.rows).to.deep.equal([
      { lane: "bulk", status: "queued", stages: "1" },
      { lane: "bulk", status: "waiting", stages: "3" },
      { lane: "urgent", status: "queued", stages: "1" },
      { lane: "urgent", status: "waiting", stages: "3" },
    ]);
    const bad = client.query("UPDATE public.document_processing_queue SET status = 'pending'");
    await expectRefusal("23514", bad);
  });

  test("D-1 D-2: a document or an account is deleted as under v6, and its work goes along, lease or not", async (client, db) => {
    const [one, other] = await documents(client);
    const admin = await db.connect("admin");
    await save(client);
    for (const document of [one, other]) await enqueue(client, document.id);
    const work = await claim(client);
    expect(work).to.have.length(2);
    const gone = await queryAs(client, "authenticated", one.owner, "DELETE FROM public.documents WHERE id = $1", [
      one.id,
    ]);
    expect(gone.rowCount).to.equal(1);
    expect(
      await complete(
        client,
        work.find((w) => w.document_id === one.id)!,
      ),
    ).to.equal(false);
    expect(await count(client, "public.document_processing_queue")).to.equal(4);
    await deleteAccount(admin, other.owner);
    expect(await count(client, "public.document_processing_queue")).to.equal(0);
  });

  test("a failure is tried again with growing pauses, and given up as a dead letter that can be put back", async (client) => {
    const [document] = await documents(client);
    await save(client);
    await enqueue(client, document.id);
    const [first] = await claim(client);
    expect(await fail(client, first!, ", 'no text in the scan'")).to.equal("failed");
    expect(await claim(client), "not before its time").to.deep.equal([]);
    await later(client);
    const [second] = await claim(client);
    expect(second).to.include({ id: first!.id, attempt: 2 });
    expect(await fail(client, first!), "the old lease is lost").to.equal(null);
    expect(await fail(client, second!)).to.equal("dead_letter");
    await later(client);
    expect(await claim(client)).to.deep.equal([]);
    expect(await as(client, document.owner, status)).to.equal("Could not be processed 0");
    expect(await service(client, "SELECT public.requeue_document_work($1)", [first!.id])).to.equal(true);
    expect(await service(client, "SELECT public.requeue_document_work($1)", [first!.id])).to.equal(false);
    expect(await claim(client)).to.have.length(1);
    const trail = await value(client, "SELECT string_agg(action, ',' ORDER BY occurred_at) FROM public.audit_log");
    expect(trail).to.equal("INSERT,REQUEUE");
    const pauses = await client.query<{ low: number; high: number }>(
      `SELECT extract(epoch FROM min(d))::float AS low, extract(epoch FROM max(d))::float AS high
             FROM unnest('{1,2,5,20,2000}'::int[]) n, generate_series(1, 200) g, LATERAL (SELECT public.document_retry_delay(n + 0 * g)) p (d) GROUP BY n ORDER BY n`,
    );
    [30, 60, 480, 3600, 3600].forEach((top, i) => {
      expect(pauses.rows[i]!.low).to.be.within(top / 2, top * 0.6);
      expect(pauses.rows[i]!.high).to.be.within(top * 0.9, top);
    });
  });

  test("what a stage does not take is refused without its row, which says what was found in the document", async (client) => {
    const [document] = await documents(client);
    await save(client);
    const untold = (constraint: string): unknown => ({
      code: "23514",
      message: `document_processing_queue takes no such value: ${constraint}; the value is not told`,
    });
    expect(await refusal(enqueue(client, document.id, 11))).to.deep.equal(
      untold("document_processing_queue_priority_check"),
    );
    await enqueue(client, document.id);
    const [work] = await claim(client);
    const large = "SELECT public.complete_document_work($1, $2, jsonb_build_object('text', repeat('x', 16777216)))";
    expect(await refusal(service(client, large, [work!.id, work!.lease_token]))).to.deep.equal(
      untold("document_processing_queue_results_bound"),
    );
    expect(await complete(client, work!), "the lease is still there").to.equal(true);
  });

  test("pipelines: bad ones are refused, a change makes a version, and a running run keeps its stages", async (client) => {
    for (const bad of [
      "{}",
      "[]",
      '["ocr"]',
      '[{"stage": "ocr"}]',
      '[{"stage": "Ocr!", "processor_type": "ocr_extraction"}]',
      '[{"stage": "ocr", "processor_type": "magic"}]',
      '[{"stage": "ocr", "processor_type": "ocr_extraction", "order": 0}]',
      '[{"stage": "a", "processor_type": "ai_analysis"}, {"stage": "a", "processor_type": "ai_analysis"}]',
      '[{"stage": "a", "processor_type": "ai_analysis", "config": []}]',
      "null",
    ]) {
      expect(["22023", "23514"], bad).to.include((await refusal(save(client, bad))).code);
    }
    const [document] = await documents(client);
    await save(client);
    await enqueue(client, document.id);
    await save(client, '[{"stage": "only", "processor_type": "ai_analysis"}]');
    await save(client, '[{"stage": "only", "processor_type": "ai_analysis"}]');
    expect(await value(client, "SELECT pipeline_version FROM public.document_processing_pipelines")).to.equal(2);
    expect(await stages(client)).to.have.length(4);
    for (const [id, name] of [
      [document.id, "nothing"],
      ["00000000-0000-4000-8000-000000000000", "standard"],
    ] as const) {
      await expectRefusal("22023", enqueue(client, id, 5, name));
    }
  });

  test("a call repeated with the caller's own run returns that run and adds nothing, though the pipeline is another now or off", async (client) => {
    const [document, other] = await documents(client);
    const mine = "7d1f0c56-4f0e-4c1e-9a55-6f1f6f3c2a10";
    const call = (id: string, name = "standard"): Promise<string> =>
      service(client, "SELECT public.enqueue_document($1, $2, 5, $3)", [id, name, mine]);
    const one = '[{"stage": "first", "processor_type": "ocr_extraction"}]';
    await save(client, one);
    expect(await call(document.id)).to.equal(mine);
    const changed = JSON.stringify([{ stage: "another", processor_type: "ai_analysis" }]);
    await save(client, changed);
    await save(client, changed, "second");
    expect([await call(document.id), await stages(client)], "begun").to.deep.equal([mine, ["first queued"]]);
    const [work] = await claim(client);
    expect(await complete(client, work!)).to.equal(true);
    expect([await call(document.id), await stages(client)], "finished").to.deep.equal([mine, ["first completed"]]);
    expect([await call(document.id, "second"), await stages(client)], "another pipeline").to.deep.equal([
      mine,
      ["first completed"],
    ]);
    await service(client, "SELECT public.save_document_pipeline('standard', $1, p_is_active => false)", [changed]);
    expect(await call(document.id), "off").to.equal(mine);
    await expectRefusal("22023", call(other.id), "a first call is no repeated one");
    expect(await stages(client)).to.deep.equal(["first completed"]);
  });
});
