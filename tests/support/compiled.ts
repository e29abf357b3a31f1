import { build, type Plugin } from "esbuild";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = join(__dirname, "..", "..");

/** The name of its executable, by which the engine finds it in a folder. */
const executable = "pulumi-resource-guardian-migration";

/** The command of a plugin's process, be it compiled or the product's own. */
export const pluginCommand = /resources\/main\.ts|plugin-in-one-file\.cjs/;

let compiled: Promise<string> | undefined;

/**
 * A folder with the product's plugin as one file of JavaScript, made once a process. It starts in 0.3 s of CPU less than from 110 files
 * of TypeScript, and the tests start it some hundred times. What a start itself does is tested with the product's own.
 */
export const compiledFolder = (): Promise<string> => (compiled ??= compile());

/** The executable in it. */
export const compiledPlugin = async (): Promise<string> => join(await compiledFolder(), executable);

async function compile(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "guardian-plugin-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const provider = join(folder, "provider");
  mkdirSync(provider);
  const outfile = join(provider, "plugin-in-one-file.cjs");
  await build({
    entryPoints: [join(root, "resources", "main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    keepNames: true,
    external: ["@libpg-query/parser", "pg-native"], // a file of WebAssembly beside it; what nobody has
    plugins: [inPlace],
    logLevel: "silent", // what is wrong is thrown
  });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(provider, executable), '#!/bin/sh\nexec node "${0%/*}/plugin-in-one-file.cjs" "$@"\n');
  chmodSync(join(provider, executable), 0o755);
  return provider;
}

/** Our files find sql/ from where they are, and load each other when first used (engine/lazy.ts): in one file too. */
const inPlace: Plugin = {
  name: "in place",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8")
        .replace('import { createRequire } from "node:module";', "")
        .replace("const load = createRequire(__filename);", "")
        .replaceAll(/\bload\((?=")/g, "require(");
      const place = { __filename: path, __dirname: dirname(path) };
      const said = Object.entries(place).filter(([name]) => text.includes(name));
      const consts = said.map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
      return { contents: `${consts.join(" ")}${text}`, loader: "ts" };
    }),
};
