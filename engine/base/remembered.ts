import { hash } from "./hash";

/** What texts came to when they were last read, by a hash of them. */
interface Remembered {
  get(key: string): string | undefined;
  set(key: string, value: string): unknown;
}

/** The compiled plugin's, which outlives the process (provider/boot/start.cjs): it is of exactly this code and these packages. */
declare const __remembered: Remembered | undefined;

const memory: Remembered = typeof __remembered === "undefined" ? new Map<string, string>() : __remembered;

/**
 * What a pure function of texts came to before: checking, planning and doing one resource read the same files, and so does
 * every later run. What it throws is not remembered.
 * @param kind names the function
 * @param texts all that its result depends on
 */
export async function remembered(kind: string, texts: unknown, work: () => Promise<string>): Promise<string> {
  const key = hash([kind, texts]);
  const known = memory.get(key);
  if (known !== undefined) return known;
  const made = await work();
  memory.set(key, made);
  return made;
}
