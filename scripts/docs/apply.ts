import { resolveConnection } from "../../engine/connect";
import { Database, engineParameters, type WriteOptions, type WriteSession } from "../../engine/database";
import { readPhysical, type DatabaseIdentity } from "../../engine/ledger/identity";
import { openLedger } from "../../engine/ledger/owner";
import { applyModule } from "../../engine/module/apply";
import { loadModule, moduleNames, sqlFolder, type Module } from "../../engine/module/manifest";
import type { Login } from "../v6/database";

const stack = "docs::guardian";

/** Locks may be held for long where nobody else is: a busy machine must not fail what has nothing to do with it. */
const unhurried = { GUARDIAN_LOCK_HOLD_MS: "10000", GUARDIAN_LOCK_PAUSE_MS: "20" };

/**
 * Applies every module of sql/ with the product's own engine to a v6 that nobody else uses.
 * @param folder where the modules are, if not in sql/
 * @param env the engine's times, where the defaults do not fit: GUARDIAN_LOCK_HOLD_MS and its like
 * @returns the modules in order
 * @throws GuardianError as loadModule and applyModule do
 */
export async function applyAll(
  login: Login,
  folder = sqlFolder,
  env: NodeJS.ProcessEnv = unhurried,
): Promise<Module[]> {
  const { host, port, database, user, password } = login;
  const settings = resolveConnection({ host, port, database, user, sslmode: "disable" }, { PGPASSWORD: password });
  const engine = new Database(settings, engineParameters(env));
  const write = <T>(
    name: string,
    expect: WriteOptions["expect"],
    work: (s: WriteSession) => Promise<T>,
  ): Promise<T> => {
    const urn = `urn:pulumi:${stack}::guardian-migration:index:Docs::${name}`;
    const signal = new AbortController().signal;
    return engine.write({ urn, label: "docs", stack, expect, signal, onStatus: () => undefined }, work);
  };
  try {
    const identity = await write("ledger", "new ledger", async (session): Promise<DatabaseIdentity> => {
      const here = await readPhysical(session.writer);
      return { ...here, ledgerId: await openLedger(session, here, undefined) };
    });
    const modules: Module[] = [];
    for (const name of moduleNames(folder)) {
      const module = await loadModule(name, folder);
      await write(name, identity, (session) => applyModule(session, engine.parameters, module, Date.now() + 60_000));
      modules.push(module);
    }
    return modules;
  } finally {
    await engine.close();
  }
}

/** What a module lists of one kind in module.yaml. */
export function listed(module: Module, kind: "table" | "view" | "function"): string[] {
  return module.objects
    .filter((object) => object.startsWith(`${kind} `))
    .map((object) => object.slice(kind.length + 1));
}
