import { nearest } from "../../spec";
import { GuardianError } from "../base/errors";
import type { Manifest, ManifestTable } from "../backup/manifest";
import { maskElements, type Mask } from "./copy";
import { comesEmpty, misspelt, type Rules } from "./file";
import { maskJson } from "./json";
import { fits, nearestRule, type Rule } from "./rule";
import type { Declared } from "./schema";
import type { Masker } from "./values";

/** What is to be done to the rows of one table. */
export interface TablePlan {
  readonly table: ManifestTable;
  /** One a column, in the order of COPY; undefined: it stays. Nothing: the table comes without rows. */
  readonly columns?: readonly (Planned | undefined)[];
}

interface Planned {
  readonly rule: Exclude<Rule, "keep">;
  readonly declared: Declared;
}

/** A column that nothing, or nothing that fits, is said of. */
interface Open {
  readonly table: string;
  readonly column: string;
  readonly rule: Rule;
  readonly why: string;
}

type DeclaredTables = ReadonlyMap<string, ReadonlyMap<string, Declared>>;

/**
 * Finds the rule of every column of a dump.
 * @throws GuardianError masking-incomplete naming all columns that have none, or one that does not fit
 */
export function planTables({ tables }: Manifest, declared: DeclaredTables, rules: Rules, where: string): TablePlan[] {
  const open: Open[] = [];
  const plans = tables.map((table): TablePlan => {
    const name = `${table.schema}.${table.table}`;
    if (comesEmpty(rules, table.schema, table.table)) return { table };
    const ruled = rules.columns.get(name) ?? new Map<string, Rule>();
    const there = new Set(table.columns ?? []);
    const columns = [...there].map((column) => {
      const found = declared.get(name)?.get(column) ?? unknown;
      const rule = ruled.get(column);
      const why = rule === undefined ? unnamed(column, found, ruled.keys(), there) : unfit(rule, found);
      if (why !== undefined) open.push({ table: name, column, rule: suggested(found), why });
      return rule === undefined || rule === "keep" ? undefined : { rule, declared: found };
    });
    return { table, columns };
  });
  if (open.length > 0) throw incomplete(open, rules, where);
  return plans;
}

const unknown: Declared = { kind: "other", array: false, notNull: false, type: "a type that cannot be told" };

function unnamed(column: string, { type }: Declared, ruled: Iterable<string>, there: ReadonlySet<string>): string {
  const meant = misspelt(column, ruled, there);
  return `${type}, has no rule${meant === undefined ? "" : `; the rules name ${meant}, which is not there`}`;
}

function unfit(rule: Rule, { kind, notNull, type }: Declared): string | undefined {
  if (!fits(rule, kind)) return `${type}, takes no rule ${rule}`;
  return rule === "clear" && notNull ? `${type}, must not be NULL and so cannot be cleared` : undefined;
}

const suggested = ({ kind, notNull }: Declared): Rule =>
  nearestRule[kind] === "keep" && !notNull ? "clear" : nearestRule[kind];

function incomplete(open: readonly Open[], rules: Rules, where: string): GuardianError {
  const lines = open.map(({ table, column, why }) => `\n    ${table}.${column}: ${why}`).join("");
  const tables = new Map<string, Map<Rule, string[]>>();
  for (const { table, column, rule } of open) {
    const byRule = tables.get(table) ?? new Map<Rule, string[]>();
    byRule.set(rule, [...(byRule.get(rule) ?? []), column]);
    tables.set(table, byRule);
  }
  const snippet = [...tables].flatMap(([table, byRule]) => [
    `    ${table}:${rules.columns.has(table) ? "" : nearTable(table, rules)}`,
    ...[...byRule].map(([rule, columns]) => `      ${rule}: [${columns.join(", ")}]`),
  ]);
  const count = `${open.length} column${open.length === 1 ? "" : "s"}`;
  return new GuardianError("masking-incomplete", {
    what: `of ${count} of the backup it is not said how to mask them; nothing was written:${lines}`,
    where,
    todo: [
      `decide on each in a file of your own, and give it by --rules FILE; what would hide most is\n  tables:\n${snippet.join("\n")}`,
      "a table whose rows are not needed: `empty: [schema.table]`, in the same file",
    ],
  });
}

function nearTable(table: string, rules: Rules): string {
  const near = nearest(table, rules.columns.keys());
  return near.split(".")[1] === table.split(".")[1] ? ` # ${near} is ruled` : "";
}

/** @returns the masks of a table's columns, by a run's masker */
export function masksOf(columns: NonNullable<TablePlan["columns"]>, masker: Masker, rules: Rules) {
  return columns.map((planned): Mask | undefined => {
    if (!planned) return undefined;
    const { rule, declared } = planned;
    if (rule === "clear") return () => null;
    const one = maskOf(rule, declared, masker, rules);
    const { limit, bytes, type, kind } = declared;
    if (kind === "json" && !declared.array && bytes !== undefined)
      return (value) => within(bytes, one(value) ?? "null");
    const cut = (value: string): string => value.slice(0, limit);
    // character(n) is filled with blanks.
    const fit = type.startsWith("bpchar") ? (value: string) => cut(value).padEnd(limit ?? 0) : cut;
    const bounded: Mask = limit === undefined ? one : (value) => fit(one(value) ?? "");
    return declared.array ? (value) => maskElements(value, bounded) : bounded;
  });
}

/** Codes may be longer than what they stand for. Of JSON that its column would not take then, only what it is stays. */
const within = (bytes: number, json: string): string =>
  Buffer.byteLength(json) <= bytes ? json : json.startsWith("{") ? "{}" : json.startsWith("[") ? "[]" : "null";

const none: ReadonlySet<string> = new Set();

function maskOf(rule: Planned["rule"], { kind }: Declared, masker: Masker, { codes, words, keys }: Rules): Mask {
  switch (rule) {
    case "clear":
      return () => null;
    case "json":
      return (value) => maskJson(masker, value, none);
    case "coded":
      return (value) => maskJson(masker, value, codes, { words });
    case "sealed":
      return (value) => maskJson(masker, value, none, { keys, words });
    case "id":
      if (kind === "uuid") return (value) => masker.uuid(value);
      return kind === "bigint" ? (value) => masker.bigint(value) : (value) => masker.id(value);
    case "word":
      return (value) => (value === "" || words.has(value) ? value : masker.code(value));
    case "token":
      return (value) => masker.code(value);
    default:
      return (value) => masker[rule](value);
  }
}
