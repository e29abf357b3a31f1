import { createRequire } from "node:module";

/*
 * Pulumi's SDK loads the TypeScript compiler and npm's own package manager at its start, for programs that make resources of
 * functions. A program that does not would wait half a second for them before each command, so they are loaded when
 * somebody asks for something in them. To be imported before the SDK.
 */

type Exports = Record<PropertyKey, unknown>;

const load = createRequire(createRequire(__filename).resolve("@pulumi/pulumi"));

for (const id of ["./typescript-shim", "@npmcli/arborist"]) {
  const path = load.resolve(id);
  if (load.cache[path]) continue;
  let loaded: Exports | undefined;
  const real = (): Exports => {
    Reflect.deleteProperty(load.cache, path);
    return load(path) as Exports;
  };
  // __esModule: the SDK takes it as it is, and does not copy all that is in it.
  const get = (_: object, key: PropertyKey): unknown => key === "__esModule" || (loaded ??= real())[key];
  load.cache[path] = { exports: new Proxy({}, { get }), id: path, filename: path, loaded: true } as NodeJS.Module;
}
