import { readFileSync } from "node:fs";
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation";

/** Reads an event log: `--event-log FILE`, one JSON object a line; the CLI has it with PULUMI_DEBUG_COMMANDS=true alone. */
export function readEvents(file: string): EngineEvent[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as EngineEvent);
}

/** How often each operation was done to the resources that count, failed ones too; in a preview, how often it is planned. */
export function countSteps(
  events: readonly EngineEvent[],
  preview: boolean,
  counts: (step: StepEventMetadata) => boolean,
): Record<string, number> {
  const found: Record<string, number> = {};
  for (const event of events) {
    const done = event.resOutputsEvent ?? event.resOpFailedEvent;
    const step = (preview ? event.resourcePreEvent : done)?.metadata;
    if (step && counts(step)) found[step.op] = (found[step.op] ?? 0) + 1;
  }
  return found;
}
