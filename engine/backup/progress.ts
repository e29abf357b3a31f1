import { bytesUnder } from "./manifest";
import { within } from "./place";

/** What a backup is at; reported at least every 2 s, since a silent step looks dead. */
export interface BackupProgress {
  readonly phase: "dumping" | "checking" | "hashing";
  readonly seconds: number;
  /** On disk so far. */
  readonly bytes: number;
  readonly tablesCounted: number;
  readonly tables: number;
}

/** Reports which phase is at work: each as it begins, and from the first on every 2 s, until stopped. */
export class PhaseReport<P extends string> {
  readonly #began = performance.now();
  #phase: P | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly say: ((progress: { phase: P; seconds: number }) => void) | undefined) {}

  /** Since it was made, in seconds, to hundredths. */
  get seconds(): number {
    return Math.round((performance.now() - this.#began) / 10) / 100;
  }

  begin(phase: P): void {
    this.#phase = phase;
    this.#tell();
    this.#timer ??= setInterval(() => this.#tell(), 2000);
  }

  #tell(): void {
    if (this.#phase !== undefined) this.say?.({ phase: this.#phase, seconds: this.seconds });
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Reports on a folder that grows, until stopped. */
export class ProgressReport {
  phase: BackupProgress["phase"] = "dumping";
  tablesCounted = 0;
  tables = 0;
  readonly #started = Date.now();
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | undefined;

  constructor(
    readonly folder: string,
    readonly say: (progress: BackupProgress) => void,
    /** Told once if the folder does not answer any more: what writes there would hang with it. */
    readonly onSilent: (err: unknown) => void = () => undefined,
    everyMs = 2000,
  ) {
    this.#timer = setInterval(() => {
      this.#looking ??= within(this.report(), folder)
        .catch((err: unknown) => this.onSilent(err))
        .finally(() => (this.#looking = undefined));
    }, everyMs);
  }

  async report(): Promise<void> {
    const bytes = await bytesUnder(this.folder);
    const seconds = Math.round((Date.now() - this.#started) / 1000);
    const { phase, tablesCounted, tables } = this;
    this.say({ phase, seconds, bytes, tablesCounted, tables });
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
