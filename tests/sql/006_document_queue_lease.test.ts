import { expect } from "chai";
import { setTimeout as sleep } from "node:timers/promises";
import { major } from "../support/postgres";
import { expectRefusal, queryAs, service, testOn, value } from "../support/modules";
import { claim, complete, documents, enqueue, later, modules, save, stages, type Work } from "./006_queue";

const one = '[{"stage": "ocr", "processor_type": "ocr_extraction", "max_attempts": 2}]';
const all = `SELECT public.enqueue_document(d.id, 'standard', 1 + (d.n % 10)::int) FROM (
  SELECT id, row_number() OVER (ORDER BY id) AS n FROM public.documents WHERE user_id IS NOT NULL) AS d`;

const test = testOn(modules);

describe("006_document_queue: leases", function () {
  this.timeout(60_000);

  test("K-12: two workers at once never get the same stage, nor wait for each other", async (client, db) => {
    await save(client, one);
    const total = (await client.query(all)).rowCount ?? 0;
    const workers = [await db.connect(), await db.connect()];
    const open: Work[][] = [];
    for (const worker of workers) {
      await worker.query("BEGIN; SET LOCAL lock_timeout = '1s'");
      open.push((await worker.query<Work>("SELECT * FROM public.claim_document_work('w', 7)")).rows);
    }
    for (const worker of workers) await worker.query("COMMIT");
    const taken = open.flat().map((work) => work.id);
    expect(new Set(taken).size).to.equal(14);
    const drain = async (worker: (typeof workers)[0]) => {
      for (let got = await claim(worker, 5); got.length > 0; got = await claim(worker, 5))
        taken.push(...got.map((w) => w.id));
    };
    await Promise.all(workers.map(drain));
    expect(taken).to.have.length(total);
    expect(new Set(taken).size).to.equal(total);
  });

  test("the most urgent come first, and a worker may keep to its lane and its kind of work", async (client) => {
    await save(client, one);
    await client.query(all);
    const priorities = async (rest: string) => {
      const work = await claim(client, 1000, `, '1 min', ${rest}`);
      const { rows } = await client.query<{ p: number }>(
        "SELECT q.priority AS p FROM unnest($1::uuid[]) WITH ORDINALITY u (id, i) JOIN public.document_processing_queue q USING (id) ORDER BY i",
        [work.map((w) => w.id)],
      );
      return rows.map((row) => row.p);
    };
    expect(await priorities("'{ai_analysis}'")).to.deep.equal([]);
    const bulk = await priorities("NULL, 'bulk'");
    expect([...new Set(bulk)]).to.deep.equal([8, 9, 10]);
    expect([...new Set(await priorities("'{ocr_extraction,ai_analysis}'"))]).to.deep.equal([1, 2, 3, 4, 5, 6, 7]);
    for (const bad of ["0", "1, '0 s'", "1, '1 min', NULL, 'express'", "NULL", "1, NULL"]) {
      await expectRefusal(
        "22023",
        queryAs(client, "service_role", null, `SELECT public.claim_document_work('w', ${bad})`),
        bad,
      );
    }
  });

  test("a lease that ended goes to another worker; the first one's answer counts no more", async (client) => {
    const [document] = await documents(client);
    await save(client, one);
    await enqueue(client, document.id);
    const [first] = await claim(client);
    expect(await claim(client), "visible again only after the lease").to.deep.equal([]);
    const beat = "SELECT public.heartbeat_document_work($1, $2, '1 h', 40)";
    expect(await service(client, beat, [first!.id, first!.lease_token])).to.equal(true);
    expect(
      await value(
        client,
        "SELECT progress_percentage || ' ' || (due_at > now() + interval '50 min') FROM public.document_processing_queue",
      ),
    ).to.equal("40 true");
    const bad = ["'-1 h'", "'0.5 s'", "'1 day 1 s'", "'infinity'", "NULL", "'1 h', 101", "'1 h', -1"];
    for (const lease of bad.filter((text) => major >= 17 || !text.includes("infinity"))) {
      const text = `SELECT public.heartbeat_document_work($1, $2, ${lease})`;
      await expectRefusal("22023", service(client, text, [first!.id, first!.lease_token]), lease);
    }
    await later(client);
    const [second] = await claim(client);
    expect(second).to.include({ id: first!.id, attempt: 2 });
    expect(await service(client, beat, [first!.id, first!.lease_token])).to.equal(false);
    expect(await complete(client, first!)).to.equal(false);
    await later(client);
    expect(await claim(client), "the last attempt's worker died").to.deep.equal([]);
    expect(await stages(client)).to.deep.equal(["ocr dead_letter"]);
    expect(await complete(client, second!)).to.equal(false);
  });

  test("two stages that end at the same moment queue the next one, once", async (client, db) => {
    const [document] = await documents(client);
    await save(client);
    await enqueue(client, document.id);
    await complete(client, (await claim(client))[0]!);
    const [left, right] = await claim(client);
    const [a, b] = [await db.connect(), await db.connect()];
    const end = "SELECT public.complete_document_work($1, $2) AS done";
    await a.query("BEGIN");
    await a.query(end, [left!.id, left!.lease_token]);
    const other = b.query<{ done: boolean }>(end, [right!.id, right!.lease_token]);
    await sleep(100);
    await a.query("COMMIT");
    expect((await other).rows[0]!.done).to.equal(true);
    expect((await stages(client)).at(-1)).to.equal("validation queued");
  });

  test("enqueued twice is the same as once, also at the same moment; a stage under review holds the run", async (client, db) => {
    const [document] = await documents(client);
    await save(client);
    const [a, b] = [await db.connect(), await db.connect()];
    const call = "SELECT public.enqueue_document($1, 'standard') AS run";
    await a.query("BEGIN");
    const first = await a.query<{ run: string }>(call, [document.id]);
    const second = b.query<{ run: string }>(call, [document.id]);
    await sleep(100);
    await a.query("COMMIT");
    const runs = [first, await second].map((answer) => answer.rows[0]!.run);
    expect(new Set(runs).size).to.equal(1);
    const again = "SELECT public.enqueue_document($1, 'standard', 5, $2)";
    expect(await service(client, again, [document.id, runs[0]])).to.equal(runs[0]);
    expect(await stages(client)).to.have.length(4);
    const [work] = await claim(client);
    expect(
      await service(client, "SELECT public.complete_document_work($1, $2, '{}', 0.4, true)", [
        work!.id,
        work!.lease_token,
      ]),
    ).to.equal(true);
    expect(await claim(client)).to.deep.equal([]);
    expect(await service(client, "SELECT public.approve_document_work($1)", [work!.id])).to.equal(true);
    expect(await service(client, "SELECT public.approve_document_work($1)", [work!.id])).to.equal(false);
    expect((await stages(client)).slice(0, 3)).to.deep.equal(["ocr completed", "analysis queued", "coding queued"]);
    const [running] = await claim(client, 1);
    expect(await service(client, "SELECT public.cancel_document_run($1, $2)", [document.id, runs[0]])).to.equal("3");
    expect(await complete(client, running!), "a cancelled lease is lost").to.equal(false);
    expect(await enqueue(client, document.id), "a finished run is no hindrance").to.not.equal(runs[0]);
  });
});
