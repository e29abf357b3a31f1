"use strict";
/*
 * node start.cjs MAIN.ts ARGUMENTS: runs a plugin's main file, as `node MAIN.ts ARGUMENTS` would. A hundred files of TypeScript
 * take a plugin longer to load than an `up` without changes to run, so they are compiled into one file of JavaScript at the
 * first start and found there by every later one: cache.cjs says where and when. Where that is not to be had, the files
 * themselves are loaded. GUARDIAN_COMPILED=off does that always.
 */
const { resolve } = require("node:path");
const { SourceMap, createRequire, enableCompileCache } = require("node:module");
const { readFileSync, realpathSync } = require("node:fs");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");
const { find, keyOf, nodeFolder, read, sources, store, writable, write } = require("./cache.cjs");

// As Node has it from 21 on. Without it pg asks whether this is a Cloudflare Worker by making a Response, which loads the
// whole of fetch: as long as the rest of pg takes.
globalThis.navigator ??= { userAgent: `Node.js/${process.versions.node.split(".")[0]}` };

const root = resolve(__dirname, "..", "..");
process.argv.splice(1, 1);
// As node's own __dirname is: by another path to the same nothing would be found.
const main = realpathSync(resolve(process.argv[1]));

function fromSources() {
  require("./loader.cjs");
  require(main);
}

/** Microseconds of CPU that a run has used which did more than look: an `up` without changes uses one million at most. */
const busy = 1_500_000;

/** The file's name and text; its parameters are those of compile.ts. */
function run({ file, text }) {
  const machine = `${file}.${process.version}-${process.arch}`;
  const cachedData = read(machine);
  // What ran once, at the start, would else be forgotten in a long run before its end, and compiled anew at every later start.
  // Always, since V8 takes no compiled code of a process with other flags.
  setFlagsFromString("--no-flush-bytecode");
  const script = new Script(text, { filename: file, cachedData });
  const known = cachedData && !script.cachedDataRejected ? cachedData.length : 0;
  // At the end, when it is known which of its functions a run needs. The first run may have been a preview: what did more than
  // that adds what it needed, and what did little does not pay for finding out.
  process.once("exit", () => {
    if (known > 0 && process.cpuUsage().user < busy) return;
    const made = script.createCachedData();
    if (made.length > 1.05 * known) write(machine, made);
  });
  mapped(file);
  const require = createRequire(main);
  // Where packages are looked for: the server of a scratch is found there (engine/server/binaries.ts).
  const module = { exports: {}, paths: require.resolve.paths("pg") };
  script.runInThisContext()(require, module, module.exports, root, remembered(`${file}.remembered`));
}

/** So many results are kept: those of all modules are some fifty. */
const most = 1000;

/** Results of pure functions of texts (engine/base/remembered.ts), of this very code; read at first use, written at the end. */
function remembered(file) {
  let known;
  let more = false;
  const load = () => {
    try {
      return new Map(JSON.parse(read(file)?.toString("utf8") ?? "[]"));
    } catch {
      return new Map();
    }
  };
  process.once("exit", () => {
    // With what others wrote meanwhile.
    if (more) write(file, JSON.stringify([...new Map([...load(), ...known])].slice(-most)));
  });
  return {
    get: (key) => (known ??= load()).get(key),
    set(key, value) {
      (known ??= load()).set(key, value);
      more = true;
    },
  };
}

/** Stacks name the TypeScript. The map is read for the first of them. */
function mapped(file) {
  let map;
  const place = (site) => {
    const said = String(site);
    if (site.getFileName() !== file) return said;
    try {
      map ??= new SourceMap(JSON.parse(readFileSync(`${file}.map`, "utf8")));
    } catch {
      return said;
    }
    const entry = map.findEntry(site.getLineNumber() - 1, site.getColumnNumber() - 1);
    if (entry.originalSource === undefined) return said;
    const original = `${resolve(root, entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    return said.replace(`${file}:${site.getLineNumber()}:${site.getColumnNumber()}`, original);
  };
  Error.prepareStackTrace = (err, sites) =>
    [Error.prototype.toString.call(err), ...sites.map((site) => `    at ${place(site)}`)].join("\n");
}

async function start() {
  const key = process.env.GUARDIAN_COMPILED === "off" ? undefined : keyOf(root, main);
  const found = key && find(root, key);
  const folder = key && (found ? undefined : writable(root));
  if (!found && !folder) return fromSources();
  if (found) {
    // What is loaded besides the one file; node has it since 22.1.
    const folder = nodeFolder(found.file);
    if (folder) enableCompileCache?.(folder);
    return run(found);
  }
  let made;
  try {
    require("./loader.cjs");
    const { compile } = require("./compile.ts");
    const compiled = await compile(root, main, sources(main));
    // Somebody saved a file meanwhile: what was read may be neither the old nor the new.
    if (keyOf(root, main) === key) made = store(folder, key, compiled);
  } catch {
    // The same from the sources says what is wrong, if it is more than the cache.
  }
  return made ? run(made) : fromSources();
}

void start();
