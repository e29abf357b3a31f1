import type { Database, FencedWriter } from "../engine/database";
import { fromPostgres } from "../engine/base/errors";
import { identityOf, stackOf, type DatabaseIdentity } from "../engine/ledger/identity";
import { adoptStanding, detailOf, readStep, resourceId, unfinished, type Step } from "../engine/ledger/steps";
import type { Plan } from "../engine/base/plan";
import type { Progress } from "../engine/base/progress";
import { sourceHash } from "../engine/module/files/source";
import { writeAndSync } from "../engine/migration-session";
import type { Queryable } from "../engine/base/sql";
import { changesBetween, type Changes } from "../provider/diff";
import { PartlyDone, type Checked, type Comparison, type Handler, type ReadResult } from "../provider/types";
import { hasUnknown, unknown, type Values as WireValues } from "../provider/wire";
import { asInLedger, heard, ledgerSteps, mainStep, type DatabaseCall } from "./call";
import { all, dependsOnUnknown, pick } from "./computed";
import { currentId, notImported, outdated, refuseRenamed, see, standingOf, unknownToLedger } from "./identity";
import { adopted, planText, progressLine, resumed } from "./sentences";
import type { Args, Inputs, ResourceSpec, State, Values } from "../spec";
import type { ErrorCode } from "../spec/codes";

type Outputs<S extends ResourceSpec> = Omit<Values<S["outputs"]>, "database">;

/**
 * What would be done, and the outputs that are certain; all others are shown as unknown, and may differ in `up`. `anew`:
 * what the ledger says is done was deleted by hand, and there is nothing to take over.
 */
type Planned<S extends ResourceSpec> = Plan & { outputs?: Partial<Outputs<S>>; anew?: boolean };

/** What is particular to a kind of resource; everything common is done once, by `handler`. */
export interface Kind<S extends ResourceSpec> {
  readonly spec: S;
  /** What check adds to the inputs, and what is wrong with them; nothing here connects. */
  check?(args: Args<S>): Promise<{ computed: Values<S["computed"]>; failures?: Checked["failures"] }>;
  /** The folders of sql/ that check reads: while they are as they were, what it added the last time still holds. */
  sources?(args: Args<S>): readonly string[];
  /**
   * In preview: refuses what can be refused by then, and says what would be done to this database. Before create `state`
   * is undefined.
   */
  plan(call: DatabaseCall, inputs: Inputs<S>, state: State<S> | undefined): Promise<Planned<S>>;
  /** Does the work, adopting what the ledger says is done already for this URN. */
  create(call: DatabaseCall, inputs: Inputs<S>, fenced: FencedWriter): Promise<Outputs<S>>;
  /** Brings a resource that is there up to its inputs, or finishes one that is done in part; without it, create does. */
  update?(call: DatabaseCall, inputs: Inputs<S>, state: State<S>, fenced: FencedWriter): Promise<Outputs<S>>;
  /** Undoes it; idempotent. */
  delete(call: DatabaseCall, state: State<S>, fenced: FencedWriter): Promise<void>;
  /** The outputs as the database has them now; undefined if somebody deleted it by hand, and the next `up` is to make it anew. */
  read(db: Queryable, call: DatabaseCall, inputs: Inputs<S>, state: State<S>): Promise<Outputs<S> | undefined>;
  /** The id of a ledger that the program takes over: until that is written, the others are found under the name it has. */
  adopts?(inputs: Inputs<S>): string | undefined;
  /** Inputs that only say what plan and drift are to judge by: that they are others changes nothing here. */
  asked?: readonly string[];
  /** What differs from the state though the inputs do not. */
  drift?(call: DatabaseCall, inputs: Inputs<S>, state: State<S>): Promise<Changes>;
}

/**
 * Makes a handler of a kind: the rules of the ledger, said once. State of another database is refused before anything
 * else; reads and plans run in read-only transactions; writes run under the lock; errors lose their row values; what is
 * done in part says so until it is finished.
 */
export function handler<S extends ResourceSpec>(kind: Kind<S>): Handler<Database> {
  const describe = (call: DatabaseCall): string => `${kind.spec.kind} ${call.name}`;
  // What check has let through fits the spec; the wire does not know its type.
  const typedInputs = (values: WireValues): Inputs<S> => values as unknown as Inputs<S>;
  const typedState = (values: WireValues): State<S> => values as unknown as State<S>;
  const identity = (state: WireValues): DatabaseIdentity => state["database"] as unknown as DatabaseIdentity;

  const write = async (
    call: DatabaseCall,
    expect: DatabaseIdentity | "new ledger",
    work: (fenced: FencedWriter) => Promise<Outputs<S> | undefined>,
    held: { heldAs?: string } = {},
  ): Promise<WireValues> => {
    const stack = stackOf(call.urn);
    const options = {
      urn: call.urn,
      label: describe(call),
      stack,
      expect,
      ...held,
      signal: call.signal,
      onProgress: (progress: Progress) => call.log.status(progressLine(progress)),
    };
    const outputs = await writeAndSync(call.host, options, work);
    return (outputs ?? {}) as unknown as WireValues;
  };

  /** Identity as it is now, for the state. */
  const whereNow = async (call: DatabaseCall): Promise<WireValues> => {
    const { ledger, here } = await call.host.whereabouts();
    return { database: { ...identityOf(ledger?.ledgerId ?? "", here) } };
  };

  const shown = async <T>(call: DatabaseCall, work: () => Promise<T>): Promise<T> => {
    try {
      return await heard(call, work);
    } catch (err) {
      throw err instanceof PartlyDone ? err : fromPostgres(err, describe(call));
    }
  };

  const openParts = async (call: DatabaseCall): Promise<{ main: Step | undefined; open: Step[] }> => {
    const steps = (await ledgerSteps(call.host)).filter((step) => step.urn === call.urn);
    return { main: await mainStep(call), open: unfinished(steps) };
  };

  /**
   * @returns the call by the URN that the ledger has, where the program takes over what is another stack's; and as the
   *   kind gets it: the one that takes over speaks of both
   */
  const known = async (call: DatabaseCall, inputs: WireValues): Promise<[DatabaseCall, DatabaseCall]> => {
    call.host.adopts = kind.adopts?.(typedInputs(inputs)) ?? call.host.adopts;
    const found = await asInLedger(call);
    return [found, kind.adopts ? call : found];
  };

  /** @throws GuardianError for a state of another database, or one that is older than this */
  const assertCurrent = async (call: DatabaseCall, { id, oldState }: Comparison): Promise<void> => {
    await call.host.assertSame(identity(oldState));
    if ((await standingOf(call, id)) !== "current") throw outdated(call, id);
  };

  /** The id of what a create made or took over; from here on the state holds it. */
  const idNow = async (call: DatabaseCall): Promise<string> => {
    const id = resourceId(call.name, await mainStep(call));
    see(call, id);
    return id;
  };

  /** @returns the outputs that are certain */
  const plan = async (call: DatabaseCall, inputs: Inputs<S>, state: State<S> | undefined): Promise<WireValues> => {
    // Of what depends on inputs that only `up` will know, preview says that it is made or updated, and no more.
    const late = dependsOnUnknown(inputs as unknown as WireValues);
    const { outputs, anew, ...found } = late ? {} : await kind.plan(call, inputs, state);
    const main = state || anew ? undefined : await mainStep(call);
    const there = currentId(call, main) !== undefined && (main?.state === "done" ? adopted : resumed);
    const planned = there ? { ...found, notes: [...(found.notes ?? []), there] } : found;
    for (const { severity, text } of planned.notes ?? []) if (severity === "warning") call.log.warn(text);
    const text = planText(planned);
    if (text !== "") call.log.info(text);
    return (outputs ?? {}) as unknown as WireValues;
  };

  /** After a failure: what is committed of it decides whether the state is kept as done in part. */
  const keepPart = async (call: DatabaseCall, inputs: WireValues, err: unknown): Promise<never> => {
    const { main, open } = await openParts(call).catch(() => ({ main: undefined, open: [] }));
    // Done but for its parts, or begun and committed batch by batch.
    const begun = main?.state === "done" || detailOf(main, "DataMigration").begun === true;
    if (!main || !begun || open.length === 0) throw err;
    const state = { ...inputs, ...(await whereNow(call)) };
    const { message } = fromPostgres(err, describe(call));
    throw new PartlyDone(
      await idNow(call),
      state,
      inputs,
      [message, `unfinished: ${open.map((step) => step.part || kind.spec.kind).join(", ")}; up goes on from here`],
      { cause: err },
    );
  };

  /** Killed between the purge and the saving of the state: there is no ledger any more, in the database of this state. */
  const purgedAlready = async (call: DatabaseCall, state: WireValues): Promise<boolean> => {
    if (state["purge"] !== true) return false;
    const { ledger, here } = await call.host.whereabouts();
    const mine = identity(state);
    return !ledger && here.systemIdentifier === mine.systemIdentifier && here.database === mine.database;
  };

  return {
    spec: kind.spec,

    async check(_call, news, olds): Promise<Checked> {
      if (!kind.check) return { inputs: news, failures: [] };
      const args = news as unknown as Args<S>;
      const added = Object.keys(kind.spec.computed);
      // What follows from an input that only `up` will know, and what is wrong with it, is itself known only then.
      if (dependsOnUnknown(news)) return { inputs: { ...news, ...all(added, unknown) }, failures: [] };
      const source = kind.sources && sourceHash(kind.sources(args));
      const unchanged = source !== undefined && olds[sourceKey] === source && added.every((key) => key in olds);
      if (unchanged) return { inputs: { ...news, ...pick(olds, [...added, sourceKey]) }, failures: [] };
      const { computed, failures } = await kind.check(args);
      const marked = source === undefined ? {} : { [sourceKey]: source };
      return { inputs: { ...news, ...(computed as unknown as WireValues), ...marked }, failures: failures ?? [] };
    },

    diff: (asked, it: Comparison) =>
      shown(asked, async () => {
        const [call, about] = await known(asked, it.news);
        await assertCurrent(call, it);
        const changes = changesBetween(it.oldInputs, it.news);
        for (const path of changes.keys()) if (kind.asked?.includes(path.replace(/[.[].*/s, ""))) changes.delete(path);
        const state = typedState(it.oldState);
        // With inputs that only up will know it is a change already.
        const drift = hasUnknown(it.news) ? undefined : await kind.drift?.(about, typedInputs(it.news), state);
        for (const [path, change] of drift ?? []) changes.set(path, change);
        const { main, open } = await openParts(call);
        if (!main) throw await unknownToLedger(asked);
        // The database was renamed; the state follows.
        const { here } = await call.host.whereabouts();
        if (identity(it.oldState).database !== here.database) changes.set("database", "update");
        // Killed between the commit of a rollback and the saving of the state: what the state still has is done again.
        if (main.state === "undone") changes.set("ledgerId", "drift");
        if (open.length > 0 && changes.size === 0) changes.set("ledgerId", "update");
        return changes;
      }),

    create: (call, inputs) =>
      shown(call, async () => {
        const typed = typedInputs(inputs);
        const [, about] = await known(call, inputs);
        if (call.preview) {
          await call.host.server();
          return { id: "", state: await plan(about, typed, undefined) };
        }
        const { ledger, here } = await call.host.whereabouts();
        const ledgerId = inputs["ledgerId"];
        const expect = typeof ledgerId === "string" ? identityOf(ledgerId, here) : "new ledger";
        try {
          const outputs = await write(call, expect, async (fenced) => {
            const there = ledger && (await readStep(fenced.writer, call.urn));
            const standing = there?.state === "undone" ? undefined : there;
            // Before the work: what is then done in part is kept under the new id. A ledger has no epoch before it is open.
            if (standing && expect !== "new ledger") await fenced.transaction((db) => adoptStanding(db, standing));
            const made = await kind.create(call, typed, fenced);
            if (standing && expect === "new ledger")
              await fenced.writer.transaction((db) => adoptStanding(db, standing));
            return made;
          });
          return { id: await idNow(call), state: { ...outputs, ...(await whereNow(call)) } };
        } catch (err) {
          return await keepPart(call, inputs, err);
        }
      }),

    update: (call, it) =>
      shown(call, async () => {
        const [found, about] = await known(call, it.news);
        await assertCurrent(found, it);
        const [typed, state] = [typedInputs(it.news), typedState(it.oldState)];
        if (call.preview) {
          return { database: it.oldState["database"] ?? null, ...(await plan(about, typed, state)) };
        }
        const work = (fenced: FencedWriter): Promise<Outputs<S>> =>
          kind.update ? kind.update(call, typed, state, fenced) : kind.create(call, typed, fenced);
        const outputs = await write(call, identity(it.oldState), work, { heldAs: it.id });
        return { ...outputs, ...(await whereNow(call)) };
      }),

    read: (call, id, inputs, state): Promise<ReadResult> =>
      shown(call, async () => {
        if (state["database"] === undefined) throw notImported(call);
        refuseRenamed(call, id);
        await call.host.assertSame(identity(state));
        const { main, open } = await openParts(call);
        if (!main) throw await unknownToLedger(call);
        if (main.state === "undone") return { gone: true };
        // Left over from a replacement that was cut off: it goes, and what stands keeps the newer id.
        if ((await standingOf(call, id)) === "superseded") return { gone: true };
        if (open.length > 0) {
          const code: ErrorCode = "unfinished";
          const reasons = open.map(
            (step) => `unfinished: ${step.part || kind.spec.kind} is ${step.state}; up finishes it [${code}]`,
          );
          throw new PartlyDone(resourceId(call.name, main), state, inputs, reasons);
        }
        const outputs = await call.host.read((db) => kind.read(db, call, typedInputs(inputs), typedState(state)));
        if (!outputs) return { gone: true };
        const now = { ...state, ...(outputs as unknown as WireValues) };
        return { gone: false, id: resourceId(call.name, main), inputs, state: now };
      }),

    delete: (call, id, _inputs, state) =>
      shown(call, async () => {
        if (await purgedAlready(call, state)) return;
        await call.host.assertSame(identity(state));
        const standing = await standingOf(call, id);
        if (standing === "outdated") throw outdated(call, id);
        if (standing === "superseded") {
          call.log.warn(
            `${id} was replaced by what was there already and stands: nothing belongs to it, nothing is deleted`,
          );
          return;
        }
        await write(call, identity(state), async (fenced) => {
          if (!(await readStep(fenced.writer, call.urn))) throw await unknownToLedger(call);
          await kind.delete(call, typedState(state), fenced);
          return undefined;
        });
      }),
  };
}

/**
 * Beside what check computed from files stands the hash of these files. Keys that begin so are the plugin's own: neither
 * Pulumi's display nor our diff shows them, or a comment in a file would look like a change.
 */
const sourceKey = "__source";
