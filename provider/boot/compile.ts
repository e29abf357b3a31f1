import { build, stop, type Plugin } from "esbuild";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/**
 * A program as one file: an expression, the function that start.cjs calls with `require`, `module`, `exports`, the root and what
 * was remembered (engine/base/remembered.ts).
 */
export interface Compiled {
  code: string;
  /** Its source map, whose sources are relative to the root. */
  map: string;
}

/** Packages that are loaded where they are, at first use: one is WebAssembly, one nobody has, the last are large. */
const external = ["@libpg-query/parser", "yaml", "pg-native", "@aws-sdk/client-s3", "@aws-sdk/lib-storage"];

/**
 * Compiles a program of ours, with the packages that it loads at its start.
 * @param root the clone; nothing in what is made says where it is
 * @param folders relative to the root, which our own files may come from
 * @throws Error where a file of ours comes from elsewhere, or does not compile
 */
export async function compile(root: string, main: string, folders: readonly string[]): Promise<Compiled> {
  const { outputFiles, metafile } = await build({
    entryPoints: [main],
    outfile: join(root, "plugin.cjs"), // is not written; what it is made of is said relative to it
    absWorkingDir: root,
    write: false,
    bundle: true,
    platform: "node",
    target: "node20",
    keepNames: true,
    minifyWhitespace: true, // a third less to read and to hash at every start
    sourcemap: "external",
    sourcesContent: false,
    legalComments: "none",
    banner: { js: "(function (require, module, exports, __root, __remembered) {" },
    footer: { js: "})" },
    external,
    preserveSymlinks: true, // what is said of a package's place holds in another clone too
    plugins: [inPlace(root)],
    metafile: true,
    logLevel: "silent", // what is wrong is thrown
  });
  await stop();
  const foreign = Object.keys(metafile.inputs).filter(
    (file) => !/(^|\/)node_modules\//.test(file) && !folders.some((folder) => file.startsWith(`${folder}/`)),
  );
  if (foreign.length > 0) throw new Error(`nobody looks whether these changed: ${foreign.join(", ")}`);
  const output = (end: string): string => outputFiles.find(({ path }) => path.endsWith(end))?.text ?? "";
  return { code: output(".cjs"), map: output(".map") };
}

/** Files find others from where they are, and ours load each other when first used (engine/lazy.ts): in one file too. */
const inPlace = (root: string): Plugin => ({
  name: "in place",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.[cm]?[jt]s$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const ours = path.endsWith(".ts");
      if (!ours && !/\b__(?:file|dir)name\b/.test(text)) return undefined;
      const lazy = text
        .replace('import { createRequire } from "node:module";', "")
        .replace("const load = createRequire(__filename);", "")
        .replaceAll(/\bload\((?=["`])/g, "require(");
      const [strict = ""] = /^"use strict";/.exec(text) ?? [];
      const contents = `${strict}${placed(relative(root, path), ours ? lazy : text.slice(strict.length))}`;
      return { contents, loader: ours ? "ts" : "js" };
    }),
});

function placed(path: string, text: string): string {
  const places = { __filename: path, __dirname: dirname(path) };
  const used = Object.entries(places).filter(([name]) => text.includes(name));
  return `${used.map(([name, value]) => `const ${name} = __root + ${JSON.stringify(`/${value}`)};`).join(" ")}${text}`;
}
