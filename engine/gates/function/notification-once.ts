import { randomUUID } from "node:crypto";
import type { Steps } from "./steps";
import { tried } from "./tried";

interface Claim extends Record<string, unknown> {
  id: string;
  lease_token: string;
}

const send =
  "SELECT public.enqueue_notification($1, 'system_maintenance', 'Trial', 'made by a gate, never committed', '{}', 'urgent', 'administrative', '{in_app}', $2)";

/** So a worker is given these before any of others, each in its turn, and takes nobody else's. */
const first = `UPDATE public.notification_queue SET scheduled_for = timestamptz '2000-01-01Z' + interval '1 day' * $2, expires_at = pg_catalog.now() + interval '1 hour' WHERE id = $1`;

/** A message that comes before all others. @returns its id */
async function message(steps: Steps, account: string, place: number): Promise<string | undefined> {
  const id = await steps.value<string>(`message ${place} is queued`, "server", send, [account, `gate trial ${place}`]);
  await steps.ask(`message ${place} is due`, "server", first, [id, place]);
  return id;
}

/** @returns the lease of the message that a worker is given */
async function take(steps: Steps, worker: string): Promise<Claim | undefined> {
  const text = "SELECT * FROM public.claim_notifications($1, 1)";
  return (await steps.ask<Claim>(`${worker} takes a message`, "server", text, [worker]))[0];
}

const complete = "SELECT public.complete_notification($1, $2, '{in_app}')";

/** A message reaches a user once, whoever sends and delivers it how often. */
export const notificationOnce = tried({
  name: "notification-once",
  asks: "whether a message is queued once, given to one worker, delivered once, and read by whom it is for",
  needs: ["public.enqueue_notification", "public.claim_notifications", "public.complete_notification"],
  async run(steps, { account }) {
    const user = { person: account };
    const one = await message(steps, account, 0);
    await steps.expect("sent twice it is one message", "server", one, send, [account, "gate trial 0"]);
    // Further ones, so that the next worker finds some and is given nobody else's.
    const [next, last] = [await message(steps, account, 1), await message(steps, account, 2)];
    const lease = await take(steps, "one worker");
    steps.hold("one worker is given it", lease?.id === one);
    steps.hold("another worker is not", (await take(steps, "another worker"))?.id === next);
    const wrong = [one, randomUUID()];
    await steps.expect("another's token delivers nothing", "server", false, complete, wrong);
    await steps.expect("it is delivered", "server", true, complete, [one, lease?.lease_token]);
    await steps.expect("it is not delivered again", "server", false, complete, [one, lease?.lease_token]);
    await steps.expect("sent again it stays delivered", "server", one, send, [account, "gate trial 0"]);
    steps.hold("no worker is given it again", (await take(steps, "a third worker"))?.id === last);
    const mark = "SELECT public.mark_notification($1, 'read')";
    await steps.expect("the user reads it", user, true, mark, [one]);
    await steps.expect("nobody else does", { person: randomUUID() }, false, mark, [one]);
    const left =
      "SELECT count(*)::integer || ' ' || min(status) FROM public.notification_queue WHERE user_id = $1 AND dedup_key = $2";
    await steps.expect("there is one message, delivered", "server", "1 delivered", left, [account, "gate trial 0"]);
  },
});
