/** @returns the candidate with the fewest edits from the text, the first one if several are as near; none of none is "" */
export function nearest(text: string, candidates: Iterable<string>): string {
  const ranked = [...candidates].map((candidate) => ({ candidate, edits: edits(text.toLowerCase(), candidate) }));
  ranked.sort((a, b) => a.edits - b.edits);
  return ranked[0]?.candidate ?? "";
}

/** Levenshtein distance: inserted, removed and changed letters, one row of the table at a time. The first text is lower case. */
export function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1]?.toLowerCase() ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
