import { Database } from "../../engine/database";
import { engineParameters } from "../../engine/parameters";
import { GuardianError } from "../../engine/base/errors";
import { PartlyDone, type Call, type Handler } from "../../provider/types";
import type { Value, Values } from "../../provider/wire";
import { plugin } from "../../resources/registry";
import { settingsOf } from "../../scripts/v6/operator";
import type { Login } from "../support/postgres";
import { quick } from "../engine/module/harness";

/** A resource of the program. */
export interface Declared {
  kind: string;
  name: string;
  args: (ledgerId: Value) => Values;
}

/** A resource in the state. */
interface Entry {
  kind: string;
  name: string;
  id: string;
  inputs: Values;
  state: Values;
  /** Replaced; its delete is still to come. */
  pending?: boolean;
  tainted?: boolean;
  /** Done in part: the next `up` calls update. */
  partly?: boolean;
}

export type Outcome = "ok" | "refused";

/**
 * What Pulumi's engine makes of its verbs, as far as a provider sees it (resource/deploy, 3.250.0): a replacement is a
 * create and then a delete of the old id; what is pending is deleted after the program has run; all that goes, goes from
 * the end. Every verb is a run of its own, with a database of its own that knows nothing of the run before.
 */
export class ModelEngine {
  #entries: Entry[] = [];

  constructor(
    private readonly login: Login,
    readonly declared: readonly Declared[],
  ) {}

  held = (): string[] => this.#entries.map((entry) => entry.id);
  names = (): string[] => this.#live().map((entry) => entry.name);
  save = (): string => JSON.stringify(this.#entries);

  restore(saved: string): Outcome {
    this.#entries = JSON.parse(saved) as Entry[];
    return "ok";
  }

  taint(name: string): Outcome {
    for (const entry of this.#live()) if (entry.name === name) entry.tainted = true;
    return "ok";
  }

  /** `state delete`; what others depend on with --target-dependents. */
  forget(name: string): Outcome {
    this.#entries = this.#entries.filter((entry) => entry.name !== name);
    return "ok";
  }

  /** `state rename`; Pulumi refuses a name that is there. */
  rename(name: string, to: string): Outcome {
    if (this.#entries.some((entry) => entry.name === to)) return "refused";
    for (const entry of this.#live()) if (entry.name === name) entry.name = to;
    return "ok";
  }

  /**
   * @param through so many resources are declared
   * @param killed after the creates of what is replaced, before their deletes
   * @param targets --target, and with replace --target-replace: all others stay as the state has them
   * @param refreshed --refresh: in the same run
   */
  up(through: number, { replace = [], killed = false, targets, refreshed = false }: Up = {}): Promise<Outcome> {
    return this.#run(
      async (call) => {
        if (refreshed) await this.#refresh(call);
        const aimedAt = (name: string): boolean => targets === undefined || targets.includes(name);
        const order: Entry[] = [];
        const wanted = this.declared.slice(0, through);
        try {
          for (const { kind, name, args } of wanted) {
            const [handler, about] = [handlerOf(kind), call(kind, name)];
            const live = this.#live().find((entry) => entry.name === name);
            if (!aimedAt(name)) {
              // Pulumi makes nothing that depends on what is not there.
              if (!live) return;
              order.push(live);
              continue;
            }
            const ledgerId = order[0]?.state["ledgerId"] ?? "";
            const { inputs } = await handler.check(about, args(ledgerId), live?.inputs ?? {});
            if (live && !live.tainted && !replace.includes(name)) {
              const comparison = { id: live.id, oldState: live.state, oldInputs: live.inputs, news: inputs };
              const changes = await handler.diff(about, comparison);
              if (changes.size > 0 || live.partly) {
                live.state = { ...inputs, ...(await handler.update(about, comparison)) };
                Object.assign(live, { inputs, partly: false });
              }
              order.push(live);
              continue;
            }
            if (live) {
              await handler.diff(about, { id: live.id, oldState: live.state, oldInputs: live.inputs, news: inputs });
            }
            const made = await handler.create(about, inputs);
            if (live) live.pending = true;
            const entry = { kind, name, id: made.id, inputs, state: { ...inputs, ...made.state } };
            this.#entries.push(entry);
            order.push(entry);
          }
        } finally {
          // What is new stands before what is pending, as in the engine's snapshot.
          this.#entries = [...order, ...this.#entries.filter((entry) => !order.includes(entry))];
        }
        if (killed) return;
        const goes = (entry: Entry): boolean => entry.pending === true || !order.includes(entry);
        await this.#deleteAll(call, (entry) => goes(entry) && aimedAt(entry.name));
        // Whoever aims at a module makes it without the backup that comes before it.
      },
      targets ? ["backup-missing"] : [],
    );
  }

  /** @param target --target with --target-dependents: what comes after it depends on it */
  destroy(target?: string): Promise<Outcome> {
    const names = this.declared.map(({ name }) => name);
    const from = target === undefined ? 0 : names.indexOf(target);
    return this.#run((call) =>
      this.#deleteAll(call, ({ name }) => target === undefined || names.indexOf(name) >= from),
    );
  }

  refresh(): Promise<Outcome> {
    return this.#run((call) => this.#refresh(call));
  }

  async #refresh(call: Caller): Promise<void> {
    const gone = new Set<Entry>();
    const read = async (entry: Entry): Promise<void> => {
      const about = call(entry.kind, entry.name);
      const found = await handlerOf(entry.kind)
        .read(about, entry.id, entry.inputs, entry.state)
        .catch((err: unknown) => {
          if (!(err instanceof PartlyDone)) throw err;
          entry.partly = true;
          return { gone: false as const, id: err.id, inputs: err.inputs, state: err.state };
        });
      if (found.gone) gone.add(entry);
      else Object.assign(entry, { id: found.id, state: found.state });
    };
    await Promise.all(this.#entries.map(read));
    this.#entries = this.#entries.filter((entry) => !gone.has(entry));
  }

  #live(): Entry[] {
    return this.#entries.filter((entry) => !entry.pending);
  }

  /** From the end of the state; of one resource all at once. */
  async #deleteAll(call: Caller, goes: (entry: Entry) => boolean): Promise<void> {
    // What the program does not know, as after a `state rename`, depends on nothing that it knows, and goes first.
    const declared = this.declared.map(({ name }) => name);
    const others = this.#entries.map(({ name }) => name).filter((name) => !declared.includes(name));
    for (const name of [...others, ...declared.reverse()]) {
      const going = this.#entries.filter((entry) => entry.name === name && goes(entry));
      const ended = await Promise.allSettled(
        going.map(async (entry) => {
          await handlerOf(entry.kind).delete(call(entry.kind, name), entry.id, entry.inputs, entry.state);
          this.#entries.splice(this.#entries.indexOf(entry), 1);
        }),
      );
      for (const end of ended) if (end.status === "rejected") throw end.reason;
    }
  }

  /**
   * @param also codes of errors that this verb may end with besides
   * @returns "refused" for an error that says why, and passes on every other
   */
  async #run(work: (call: Caller) => Promise<void>, also: readonly string[] = []): Promise<Outcome> {
    const host = new Database(settingsOf(this.login), { ...engineParameters(), ...quick });
    const { signal } = new AbortController();
    const nothing = (): void => undefined;
    const log = { info: nothing, warn: nothing, status: nothing };
    const call = (kind: string, name: string): Call<Database> => {
      const urn = `urn:pulumi:dev::guardian::${handlerOf(kind).spec.token}::${name}`;
      return { urn, name, preview: false, timeoutSeconds: 60, log, signal, host };
    };
    try {
      await work(call);
      return "ok";
    } catch (err) {
      if (err instanceof GuardianError && [...refusals, ...also].includes(err.code)) return "refused";
      throw err;
    } finally {
      await host.close();
    }
  }
}

/** Errors that say why a verb was not done, and what to do. */
const refusals = ["state-outdated", "not-in-state", "not-in-ledger", "module-needed"];

interface Up {
  replace?: string[];
  killed?: boolean;
  targets?: string[];
  refreshed?: boolean;
}

type Caller = (kind: string, name: string) => Call<Database>;

function handlerOf(kind: string): Handler<Database> {
  const found = plugin.resources.find((handler) => handler.spec.token.endsWith(`:${kind}`));
  if (!found) throw new Error(`no handler of ${kind}`);
  return found;
}
