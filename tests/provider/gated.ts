import { gateChecks } from "../../spec/gates";
import * as calls from "../support/calls";
import type { Held, Made, Walk } from "../support/walk";
import { plain, type Wire } from "../support/wire";

export type Bag = Record<string, Wire>;

export const limits = { maxDataLoss: 0.001, warnSlowdown: 0.1, maxSlowdown: 0.25 };

/** The gate after the schema stage, as the program would declare it. */
export const schemaGate = ({ ledger, modules }: Made, more: Bag = {}): Bag => ({
  ...{ gate: "schema", checks: [...gateChecks.schema], limits, strict: false, publications: [] },
  judges: Object.fromEntries(modules.map(({ urn, state }) => [urn.split("::").at(-1)!, state["meaning"]!])),
  backup: { directory: "backups", maxAgeSeconds: 3600, verify: "list" },
  ledgerId: ledger.state["ledgerId"]!,
  ...more,
});

/** An update of a gate to other inputs. @returns what it is then; an error's text */
export async function update(walk: Walk, held: Held, args: Bag, preview = false): Promise<Held | string> {
  const news = await walk.check("Gate", "gate-schema", args, held.inputs);
  const change = { id: held.id, olds: held.state, oldInputs: held.inputs, news };
  const { client, call } = walk.plugin;
  return call(client.update, calls.update(held.urn, change, { preview })).then(
    (response) => ({ ...held, inputs: news, state: plain(response.getProperties()) ?? {} }),
    (err: unknown) => (err instanceof Error ? err.message : String(err)),
  );
}

/** An update of any resource. @throws what the plugin answers */
export async function changed(walk: Walk, held: Held, kind: string, args: Bag): Promise<Held> {
  const news = await walk.check(kind, held.urn.split("::").at(-1)!, args, held.inputs);
  const change = { id: held.id, olds: held.state, oldInputs: held.inputs, news };
  const response = await walk.plugin.call(walk.plugin.client.update, calls.update(held.urn, change));
  return { ...held, inputs: news, state: plain(response.getProperties()) ?? {} };
}

/** What went wrong, in words. */
export const text = (err: unknown): string => (err instanceof Error ? err.message : String(err));
