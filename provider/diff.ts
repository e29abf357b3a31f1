import { isDeepStrictEqual } from "node:util";
import { unknown, type Value, type Values } from "./wire";

/** `drift`: an update that is seen between the state and the program, though the program says what it said before. */
type ChangeKind = "add" | "delete" | "update" | "drift";

/** Path of a property (`objects["table a.b"]`, `rollout.percent`) → what happens to it. */
export type Changes = Map<string, ChangeKind>;

/**
 * @returns every leaf that differs; an unknown on either side counts as a change. Top-level keys that begin with `__` are
 * bookkeeping (Pulumi's convention for a provider's own) and no change.
 */
export function changesBetween(olds: Values, news: Values): Changes {
  const changes: Changes = new Map();
  for (const key of new Set([...Object.keys(olds), ...Object.keys(news)])) {
    if (!key.startsWith("__")) compare(olds[key], news[key], key, changes);
  }
  return changes;
}

/** @returns the path of a key of an object, quoted where it is no name, as Pulumi's property paths are written */
function pathTo(path: string, key: string): string {
  return path + (/^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `["${key.replaceAll('"', '\\"')}"]`);
}

function compare(old: Value | undefined, now: Value | undefined, path: string, changes: Changes): void {
  if (old === undefined || old === null) {
    if (now !== undefined && now !== null) changes.set(path, "add");
  } else if (now === undefined || now === null) {
    changes.set(path, "delete");
  } else if (old === unknown || now === unknown) {
    changes.set(path, "update");
  } else if (Array.isArray(old) && Array.isArray(now)) {
    for (let i = 0; i < Math.max(old.length, now.length); i++) compare(old[i], now[i], `${path}[${i}]`, changes);
  } else if (isObject(old) && isObject(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
      compare(old[key], now[key], pathTo(path, key), changes);
    }
  } else if (!isDeepStrictEqual(old, now)) {
    changes.set(path, "update");
  }
}

function isObject(value: Value): value is { [key: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
