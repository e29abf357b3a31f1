import type { Proof } from "../../engine/backup/prove";
import type { ProvingTools } from "../../engine/backup/step/proof";
import { takeBackup } from "../../engine/backup/step/take";
import type { WantedBackup } from "../../engine/backup/step/policy";
import { GuardianError } from "../../engine/base/errors";
import type { Scratch } from "../../engine/scratch";
import type { Engine } from "./module/harness";

/** What a proof comes to; each is asked for once. */
type Outcome = Partial<Proof> | GuardianError | (() => Promise<Partial<Proof>>);

export const proven: Proof = {
  verdict: "proven",
  unproven: [],
  restoreSeconds: 7,
  seconds: 9,
  indexes: { checked: 3 },
  bytes: 1,
  rows: 1,
};
export const partly: Partial<Proof> = {
  verdict: "partly proven",
  unproven: [{ table: "public.documents", reason: "the type of a column is an extension's" }],
};
export const shapes = "backup/public.documents";

/** The means of a proof that come to what a test says, and count how often they were asked. */
export class Means implements ProvingTools {
  readonly asked: string[] = [];
  closed = 0;
  next: Outcome[] = [];

  openScratch = (): Promise<Scratch> =>
    Promise.resolve({
      close: () => {
        this.closed++;
        return Promise.resolve();
      },
    } as unknown as Scratch);

  prove: ProvingTools["prove"] = async ({ path }) => {
    this.asked.push(path);
    const outcome = this.next.shift();
    if (outcome === undefined) throw new Error("no proof was expected");
    if (outcome instanceof GuardianError) throw outcome;
    return { ...proven, ...(typeof outcome === "function" ? await outcome() : outcome) };
  };
}

/** One run of the Backup's create or update, and what it said as a warning. */
export const run = async (engine: Engine, wanted: WantedBackup, means: Means): Promise<string[]> => {
  const warned: string[] = [];
  const says = {
    onProgress: () => undefined,
    onProof: () => undefined,
    onStore: () => undefined,
    onWarning: (line: string): void => void warned.push(line),
  };
  await engine.write("Backup", "backup", (fenced) => takeBackup(fenced, wanted, says, means));
  return warned;
};
