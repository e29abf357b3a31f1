import type { Client } from "pg";
import type { Module } from "../../engine/module/files/manifest";
import { listed } from "../docs/catalogue";

/** What the catalogue says of a module, in the words of public.security_facts and public.definition_facts (module 000). */
export interface Facts {
  /** What was asked for: tables and views, functions, and objects whose definitions count. */
  relations: string[];
  functions: string[];
  described: string[];
  /** The answer, in the order of module.yaml. */
  own: string[];
  /** Of it the foreign keys to v6's tables: they are made, and verified, while these are locked. */
  keys?: string[];
  /** Of triggers that later modules hang on its tables, by the function that they call; that tells whether such a module is there. */
  later: Map<string, string[]>;
  /** Triggers that it hangs on tables of other modules. */
  elsewhere: { name: string; relation: string }[];
}

/**
 * Modules of whose tables and views only rights, policies, triggers, keys and names are compared, and not columns, checks and
 * queries. Those of 003 would double the time that it takes; and PostgreSQL 15 writes the query of
 * fhir_performance_metrics otherwise than later versions, as it does with every view over one table.
 */
export const undescribed: readonly string[] = ["003_fhir_integration"];

/** Reads the facts of a module off a database to which every module was applied. */
export async function readFacts(client: Client, module: Module): Promise<Facts> {
  const relations = [...listed(module, "table"), ...listed(module, "view")];
  const [functions, triggers] = [listed(module, "function"), listed(module, "trigger")];
  const described = [...(undescribed.includes(module.name) ? [] : relations), ...functions, ...triggers];
  const security = await lines(client, "public.security_facts($1, $2)", [relations, functions]);
  const definitions = await lines(client, "public.definition_facts($1)", [described]);
  const elsewhere = triggers.map(parted).filter(({ relation }) => !relations.includes(relation));
  const own: string[] = [];
  const keys: string[] = [];
  const later: Facts["later"] = new Map();
  for (const object of [...relations, ...functions]) {
    for (const fact of security.filter((line) => line.startsWith(`${object}: `)).sort()) {
      const [, name, calls] = /: trigger (\S+) calls (\S+)$/.exec(fact) ?? [];
      const refersTo = / FOREIGN KEY \([^)]*\) REFERENCES ([^(]+)\(/.exec(fact)?.[1];
      if (refersTo !== undefined && module.locks.includes(refersTo)) keys.push(fact);
      else if (name === undefined || calls === undefined || triggers.includes(`${name} on ${object}`)) own.push(fact);
      else later.set(`${calls}()`, [...(later.get(`${calls}()`) ?? []), fact]);
    }
  }
  return { relations, functions, described, own: [...own, ...definitions], keys, later, elsewhere };
}

function parted(trigger: string): { name: string; relation: string } {
  const [name = "", relation = ""] = trigger.split(" on ");
  return { name, relation };
}

async function lines(client: Client, call: string, values: string[][]): Promise<string[]> {
  return (await client.query<{ fact: string }>(`SELECT fact FROM ${call} AS fact`, values)).rows.map((row) => row.fact);
}
