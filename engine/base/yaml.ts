import type { Document } from "yaml";
import { check, type Path, type Property } from "../../spec";
import { GuardianError } from "./errors";
import { yamlParser } from "./parsers";

/**
 * Reads a YAML file whose shape is known.
 * @param file what errors call it
 * @throws GuardianError that lists all that is wrong at once: the line, the key, what must stand there, and for a key
 *   that is not known the nearest one that is
 */
export function readYaml<T>(file: string, text: string, shape: Property<T>): T {
  const { LineCounter, parseDocument, visit } = yamlParser();
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const bad = doc.errors.map((err) => ({ at: err.pos[0], text: `not valid YAML: ${err.message}` }));
  visit(doc, {
    Alias: (_key, { source, range }) =>
      void bad.push({ at: range?.[0] ?? 0, text: `*${source} is an alias, which is not taken here` }),
  });
  const { value, faults } = bad.length > 0 ? { value: undefined, faults: [] } : check(shape, doc.toJS());
  if (value !== undefined) return value;
  const all = [...bad, ...faults.map((fault) => ({ at: placeOf(doc, fault.path), text: fault.text }))];
  all.sort((a, b) => a.at - b.at);
  const listed = all.map((one) => `\n    line ${lines.linePos(one.at).line}: ${one.text}`).join("");
  throw new GuardianError("file-invalid", {
    what: `the file has ${all.length} error${all.length === 1 ? "" : "s"}:${listed}`,
    where: file,
    todo: "mend the file",
  });
}

/** Where a key or an item begins; of one that is missing, where what should hold it does. */
function placeOf(doc: Document.Parsed, path: Path): number {
  const { isMap, isScalar, isSeq } = yamlParser();
  let node: unknown = doc.contents;
  let at = doc.contents?.range[0] ?? 0;
  for (const step of path) {
    const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && key.value === step) : undefined;
    const found = pair ? pair.key : isSeq(node) ? node.items[Number(step)] : undefined;
    if (!isPlaced(found)) break;
    at = found.range[0];
    node = pair ? pair.value : found;
  }
  return at;
}

function isPlaced(node: unknown): node is { range: [number, number, number] } {
  return typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range);
}
