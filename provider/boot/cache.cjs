"use strict";
/*
 * Where compiled plugins are kept, by the hash of all that they are made of: our sources, the packages as npm installed them
 * (esbuild among them), and how they are compiled. In node_modules/.cache of the clone, which `npm ci` empties; where that
 * cannot be written (an installation that is read only, another user's clone) in the user's own cache folder. Files are
 * whole or not there: they are written under another name and renamed.
 */
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const { homedir } = require("node:os");
const { dirname, join, relative, resolve } = require("node:path");

/** As many are kept; who switches between branches finds each compiled. */
const kept = 6;

/** The folders that a plugin's files come from: what the product's may import, and its own. @returns relative to the root */
function sources(main) {
  const root = resolve(__dirname, "..", "..");
  return [...new Set(["config", "engine", "provider", "resources", "spec", relative(root, dirname(main))])];
}

/** @returns undefined where npm did not say what it installed, or it installed a link to what somebody works on */
function keyOf(root, main) {
  const hash = createHash("sha256");
  const add = (file) => {
    const content = fs.readFileSync(join(root, file));
    hash.update(`${file} ${content.length}\n`).update(content);
    return content;
  };
  try {
    if (add("node_modules/.package-lock.json").includes('"link": true')) return undefined;
    ["package.json", "tsconfig.json"].forEach(add);
    sources(main).forEach((folder) => files(root, folder).forEach(add));
  } catch {
    return undefined;
  }
  return hash.update(relative(root, main)).digest("hex").slice(0, 32);
}

function files(root, folder) {
  const entries = fs.readdirSync(join(root, folder), { withFileTypes: true });
  return entries
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return files(root, path);
      return /\.(ts|cjs|json)$/.test(entry.name) ? [path] : [];
    })
    .sort();
}

function folders(root) {
  const { XDG_CACHE_HOME: xdg, HOME: home = homedir() } = process.env;
  const own = xdg?.startsWith("/") ? xdg : join(home, ".cache");
  return [join(root, "node_modules", ".cache", "guardian"), join(own, "guardian", "plugin")];
}

/** Whether only who could have put the clone there writes it. */
const isTrusted = ({ uid, mode }) =>
  [0, process.getuid(), fs.statSync(__filename).uid].includes(uid) && (mode & 0o002) === 0;

/** @returns the folder for node's own compile cache; undefined where somebody else could put code into it */
function nodeFolder(file) {
  const folder = join(dirname(file), "node");
  try {
    return isTrusted(fs.statSync(fs.existsSync(folder) ? folder : dirname(file))) ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** @returns a file's bytes; undefined where it is not there, or somebody could have put it there who could not have put the clone there */
function read(file) {
  let fd;
  try {
    fd = fs.openSync(file, "r");
    return isTrusted(fs.fstatSync(fd)) ? fs.readFileSync(fd) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/** The last line of a whole file. */
const end = (key) => `// ${key}\n`;

/** @returns the compiled plugin's file and text */
function find(root, key) {
  for (const folder of folders(root)) {
    const file = join(folder, `${key}.cjs`);
    const text = read(file)?.toString("utf8"); // esbuild leaves regular expressions as they are
    if (text?.endsWith(end(key))) return { file, text };
  }
  return undefined;
}

/** @returns the first of the folders that can be written; it is made */
function writable(root) {
  return folders(root).find((folder) => {
    try {
      fs.mkdirSync(folder, { recursive: true, mode: 0o755 });
      fs.accessSync(folder, fs.constants.W_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Writes a file, as a whole or not at all. @returns whether it is there now */
function write(file, content) {
  const half = `${file}.${process.pid}.half`;
  try {
    fs.writeFileSync(half, content, { mode: 0o644 });
    fs.renameSync(half, file);
    return true;
  } catch {
    fs.rmSync(half, { force: true });
    return false;
  }
}

/** @returns what find() would find then; undefined where it could not be written */
function store(folder, key, { code, map }) {
  const file = join(folder, `${key}.cjs`);
  const text = `${code}${end(key)}`;
  if (!write(`${file}.map`, map) || !write(file, text)) return undefined;
  forget(folder, `${key}.cjs`);
  return { file, text };
}

/** Takes the oldest away, with what belongs to them: halves of files, of who was killed, too. */
function forget(folder, but) {
  try {
    const named = fs.readdirSync(folder).filter((name) => /^[0-9a-f]{32}\.cjs/.test(name));
    const age = (name) => fs.statSync(join(folder, name)).mtimeMs;
    const whole = named.filter((name) => name.endsWith(".cjs") && name !== but).sort((a, b) => age(b) - age(a));
    const stay = [but, ...whole.slice(0, kept - 1)];
    const old = named.filter((name) => !stay.includes(name.slice(0, 36)) && Date.now() - age(name) > 3_600_000);
    for (const name of old) fs.rmSync(join(folder, name), { force: true });
  } catch {
    // another start takes them away at the same time
  }
}

module.exports = { find, keyOf, nodeFolder, read, sources, store, writable, write };
