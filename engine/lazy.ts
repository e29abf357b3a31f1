import { createRequire } from "node:module";

const load = createRequire(__filename);

/*
 * What is loaded at first use. An `up` that finds nothing changed parses nothing and writes nothing; loading all of this
 * for it would double the plugin's start (npm run bench -- noop). Nothing that this loads may import it; the parsers stand
 * in parsers.ts for that.
 */

/** Parts of the engine that only a change needs. */
export const lazily = {
  get backup() {
    return load("./backup") as typeof import("./backup");
  },
  get foreseen() {
    return load("./gates/foreseen") as typeof import("./gates/foreseen");
  },
  get gates() {
    return load("./gates/judge") as typeof import("./gates/judge");
  },
  get ledgerOwner() {
    return load("./ledger/owner") as typeof import("./ledger/owner");
  },
  get migrations() {
    return load("./migrate/definition/migration") as typeof import("./migrate/definition/migration");
  },
  get move() {
    return load("./migrate") as typeof import("./migrate");
  },
  get modules() {
    return load("./module/files/manifest") as typeof import("./module/files/manifest");
  },
  get purge() {
    return load("./purge") as typeof import("./purge");
  },
  get apply() {
    return load("./module/apply") as typeof import("./module/apply");
  },
  get undo() {
    return load("./module/undo") as typeof import("./module/undo");
  },
  get remaining() {
    return load("./module/archive/remaining") as typeof import("./module/archive/remaining");
  },
  get waiting() {
    return load("./module/archive/waiting") as typeof import("./module/archive/waiting");
  },
};
