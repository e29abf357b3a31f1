/**
 * What a database is, as facts that can be compared: kind ("table rows", "role", "TRIGGER") → name → value. A value is
 * a digest, a count or a definition; no value is taken from a row, and settings are digests since they may be secrets.
 */
export interface Fingerprint {
  facts: Record<string, Record<string, string>>;
  /**
   * Keys from a schema left aside to a table outside it that are ON DELETE CASCADE: they let an erasure reach the
   * archive, and are the one tie that may stay. Not compared.
   */
  cascadeKeys: string[];
}

/** One fact that is not the same on both sides. `text` is a line for people, without row values. */
export interface Difference {
  kind: string;
  name: string;
  change: "added" | "gone" | "changed";
  text: string;
}

/** A named fact as the catalogue queries return it. */
export interface Fact {
  name: string;
  value: string;
}
