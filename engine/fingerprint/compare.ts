import { hiddenKinds } from "./catalogue";
import type { Difference, Fingerprint } from "./types";

/**
 * Everything that differs, sorted by kind and name; empty means: as it was. Texts name objects and show counts and
 * definitions, never row values, nor definitions that may hold a password.
 */
export function compareFingerprints(before: Fingerprint, after: Fingerprint): Difference[] {
  const differences: Difference[] = [];
  for (const kind of union(before.facts, after.facts)) {
    const was = before.facts[kind] ?? {};
    const is = after.facts[kind] ?? {};
    for (const name of union(was, is)) {
      const [a, b] = [was[name], is[name]];
      if (a === b) continue;
      const change = a === undefined ? "added" : b === undefined ? "gone" : "changed";
      const detail = a !== undefined && b !== undefined ? explain(kind, a, b) : "";
      differences.push({ kind, name, change, text: `${kind} ${name}: ${change}${detail}` });
    }
  }
  return differences;
}

/** Dump entries that can hold a password: options of user mappings, servers and subscriptions. */
const secretive = /^(USER MAPPING|SERVER|FOREIGN DATA WRAPPER|SUBSCRIPTION)/;

function explain(kind: string, was: string, is: string): string {
  if (hiddenKinds.has(kind) || secretive.test(kind)) return "";
  if (kind === "table rows") {
    const rows = [was, is].map((value) => value.split(",")[0] ?? "");
    return rows[0] === rows[1]
      ? `, still ${rows[0] ?? ""}, other content`
      : ` from ${rows[0] ?? ""} to ${rows[1] ?? ""}`;
  }
  const [old, now] = [was.split("\n"), is.split("\n")];
  const at = Math.max(
    old.findIndex((line, i) => line !== now[i]),
    0,
  );
  const side = (line: string | undefined) => (line === undefined ? "nothing" : `«${clip(line.trim())}»`);
  // The new text may only be longer than the old one.
  const first = old.every((line, i) => line === now[i]) ? old.length : at;
  return ` from ${side(old[first])} to ${side(now[first])}`;
}

function clip(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

function union(a: object, b: object): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}
