import { assess } from "../../engine/assess";
import type { Database } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import { heard, ledgerSteps, type DatabaseCall } from "../call";
import { printable } from "../../provider/log";
import type { FunctionHandler } from "../../provider/types";
import type { Values } from "../../provider/wire";
import { leavingFlags } from "../../engine/flag-leaving";
import { movedBut } from "../../engine/ledger/batches";
import { isCopied } from "../../engine/ledger/identity";
import { leavingModules } from "../../engine/module/leaving";
import { noteAccepted } from "../publications";
import { readAhead } from "../readings";
import { leavingFlagsText, leavingText, movedText } from "../sentences";
import { assessSpec } from "./spec";

export const assessHandler: FunctionHandler<Database> = {
  spec: assessSpec,
  // It writes nothing, in up neither.
  invoke: (call, args) => heard({ ...call, preview: true }, () => look(call, args)),
};

async function look(call: DatabaseCall, args: Values): Promise<Values> {
  const server = await call.host.server();
  const { accepted = [], operators = [] } = args as unknown as { accepted?: string[]; operators?: string[] };
  noteAccepted(call.host, accepted);
  const readOn = readAhead(call.host);
  const { items, volume, readers, beforeUp } = await call.host
    .read((db) => assess(db, { publications: accepted, operators }, call.preview))
    .catch((err: unknown) => {
      throw fromPostgres(err, "assessment");
    });
  const warnings = items
    .filter(({ readiness }) => readiness === "Warning")
    .map(({ item, status }) => `${item}: ${status}`);
  if (beforeUp !== undefined) warnings.push(`this role may preview, and lacks rights that up needs; ${beforeUp}`);
  // No item: a plan that was saved (up --plan) holds for other counts too, and Pulumi ends one that does not in silence.
  const notes = [`v6 holds ${volume.map(({ status }) => status).join(" and ")}`];
  if (readers.length > 0) notes.push(`changes of this database's tables are read: ${readers.join(", ")}`);
  const leaving = await describeLeaving(call, args as unknown as Program);
  readOn();
  return {
    server: `PostgreSQL ${server.version}`,
    items: items.map((item) => ({ ...item })),
    told: [...tell("warn", warnings), ...tell("info", notes), ...tell("warn", leaving)],
  };
}

/** What the program declares; an older one says less. */
interface Program {
  modules: readonly string[];
  migrations?: readonly string[];
  flags?: readonly string[];
}

const tell = (severity: "warn" | "info", texts: readonly string[]): { severity: string; text: string }[] =>
  texts.map((text) => ({ severity, text: printable(text) }));

/** @returns what would be taken out */
async function describeLeaving(call: DatabaseCall, { modules, migrations, flags }: Program): Promise<string[]> {
  const { ledger, here } = await call.host.whereabouts();
  if (!ledger || isCopied(ledger, here)) return [];
  const steps = await ledgerSteps(call.host);
  return call.host.read(async (db) => {
    const put = flags ? await leavingFlags(db, steps, flags) : [];
    const moved = migrations ? await movedBut(db, migrations) : [];
    const taken = await leavingModules(db, modules);
    return [
      ...(put.length > 0 ? [leavingFlagsText(put)] : []),
      ...moved.map(movedText),
      ...taken.map((one) => leavingText(one, call.host.parameters.lockHold)),
    ];
  });
}
