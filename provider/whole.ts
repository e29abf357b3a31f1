import { isDeepStrictEqual } from "node:util";
import type { Shape } from "../spec";
import { allProperties } from "./check";
import { PartlyDone, type Handler } from "./types";
import { hasUnknown, unknown, type Value, type Values } from "./wire";

/**
 * Properties that the state has as one text (`whole` in the spec) are lists and objects to a handler. A state of before they were is
 * read like any other, and what it has stays as it is written until it is another value: nothing would have changed but that.
 */
export function whole<Host>(handler: Handler<Host>): Handler<Host> {
  const shape = allProperties(handler.spec);
  if (!Object.values(shape).some((property) => property.whole)) return handler;
  const open = (values: Values): Values => unfold(shape, values);
  const shut = (values: Values, was?: Values): Values => fold(shape, values, was);
  const shutting = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (err) {
      if (!(err instanceof PartlyDone)) throw err;
      throw new PartlyDone(err.id, shut(err.state), shut(err.inputs), err.reasons, { cause: err });
    }
  };
  return {
    spec: handler.spec,
    check: async (call, news, olds) => {
      const { inputs, failures } = await handler.check(call, news, open(olds));
      return { inputs: shut(inputs, olds), failures };
    },
    diff: async (call, { id, oldState, oldInputs, news }) => {
      const it = { id, oldState: open(oldState), oldInputs: open(oldInputs), news: open(news) };
      const changes = await handler.diff(call, it);
      const named = [...changes].map(([path, kind]) => {
        const top = path.split(/[.[]/)[0] ?? path;
        // What is in a text has no path.
        return shape[top]?.whole && top !== path
          ? ([top, kind === "drift" ? kind : "update"] as const)
          : ([path, kind] as const);
      });
      return new Map(named);
    },
    create: (call, inputs) =>
      shutting(async () => {
        const { id, state } = await handler.create(call, open(inputs));
        return { id, state: shut(state) };
      }),
    update: (call, { id, oldState, oldInputs, news }) =>
      shutting(async () => {
        const it = { id, oldState: open(oldState), oldInputs: open(oldInputs), news: open(news) };
        return shut(await handler.update(call, it));
      }),
    read: (call, id, inputs, state) =>
      shutting(async () => {
        const found = await handler.read(call, id, open(inputs), open(state));
        return found.gone ? found : { ...found, inputs: shut(found.inputs, inputs), state: shut(found.state, state) };
      }),
    delete: (call, id, inputs, state) => handler.delete(call, id, open(inputs), open(state)),
  };
}

function unfold(shape: Shape, values: Values): Values {
  return each(shape, values, (value) => (typeof value === "string" ? (JSON.parse(value) as Value) : value));
}

function fold(shape: Shape, values: Values, was: Values = {}): Values {
  return each(shape, values, (value, key) => {
    if (hasUnknown(value)) return unknown;
    const there = was[key];
    return there !== undefined && isDeepStrictEqual(there, value) ? there : JSON.stringify(value, sorted);
  });
}

function each(shape: Shape, values: Values, change: (value: Value, key: string) => Value): Values {
  const changed = { ...values };
  for (const [key, value] of Object.entries(values)) {
    if (shape[key]?.whole && value !== null && value !== unknown) changed[key] = change(value, key);
  }
  return changed;
}

/** The same value is the same text, whatever the order of its keys: the ledger keeps another than a check had. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
