import { createHash } from "node:crypto";

/** Identifiers longer than this many bytes are cut by the server (PostgreSQL manual, 4.1.1). */
const longestName = 63;

/**
 * The name that something gets in the archive: `<name>__<apply id>`. One that gets too long is cut between characters,
 * and carries a piece of its hash, so that two long names stay two.
 */
export function stamped(name: string, applyId: string): string {
  const tail = `__${applyId}`;
  if (Buffer.byteLength(name + tail) <= longestName) return name + tail;
  const mark = `_${createHash("sha256").update(name).digest("hex").slice(0, 8)}${tail}`;
  let kept = "";
  for (const character of name) {
    if (Buffer.byteLength(kept + character + mark) > longestName) break;
    kept += character;
  }
  return kept + mark;
}
