import { readFileSync } from "node:fs";
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation";

/** What an engine's operation did to custom resources; components and providers do not count. */
export interface Operation {
  /** Of the whole operation, as the engine's process ran. */
  seconds: number;
  /** Resources that were made, or in a preview would be. */
  creates: number;
  /** Creates, updates, replacements and deletes. */
  changes: number;
  /** Resources that stand afterwards. */
  resources: number;
  /** ^C came; on a terminal the engine itself reads the keyboard, and nobody else hears of it. */
  cancelled: boolean;
}

/** Counts an event log (`--event-log FILE`, one JSON object a line). */
export function readOperation(file: string, preview: boolean, seconds: number): Operation {
  const events = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as EngineEvent);
  const counts: Record<string, number> = {};
  for (const event of events) {
    const step = (preview ? event.resourcePreEvent : event.resOutputsEvent)?.metadata;
    if (step && counted(step)) counts[step.op] = (counts[step.op] ?? 0) + 1;
  }
  const sum = (...ops: string[]): number => ops.reduce((total, op) => total + (counts[op] ?? 0), 0);
  return {
    seconds,
    creates: sum("create"),
    changes: sum("create", "update", "replace", "delete"),
    resources: sum("create", "update", "replace", "same"),
    cancelled: events.some((event) => event.stdoutEvent?.message.startsWith("^C received") === true),
  };
}

function counted(step: StepEventMetadata): boolean {
  const state = (step.new ?? step.old) as { custom?: boolean } | undefined;
  return state?.custom === true && !step.type.startsWith("pulumi:providers:");
}
