import type { StepEventMetadata } from "@pulumi/pulumi/automation";
import { countSteps, readEvents } from "../stack/events";

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

/** Counts an event log. */
export function readOperation(file: string, preview: boolean, seconds: number): Operation {
  const events = readEvents(file);
  const counts = countSteps(events, preview, counted);
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
