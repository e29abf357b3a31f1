import { resolveConnection, type ConnectionSettings } from "../../engine/connect";
import { engineParameters } from "../../engine/parameters";
import { loadModule, moduleNames, sqlFolder, type Module } from "../../engine/module/files/manifest";
import { Operator, type OperatorOptions } from "../../engine/operator";
import type { Login } from "./database";

/** A login on a server of ours as the engine takes it. @param port where it is, if a proxy stands before the server */
export function settingsOf(login: Login, port = login.port): ConnectionSettings {
  const { host, user, database, password } = login;
  return resolveConnection({ host, port, database, user, sslmode: "disable" }, { PGPASSWORD: password });
}

/** Runs some work as an operator on a server of ours, of the stack that all tools share. */
export async function withOperator<T>(
  login: Login,
  work: (operator: Operator) => Promise<T>,
  options: Partial<OperatorOptions> = {},
): Promise<T> {
  const operator = new Operator(settingsOf(login), { stack: "tools::guardian", ...options });
  try {
    return await work(operator);
  } finally {
    await operator.close();
  }
}

/** Locks may be held for long where nobody else is: a busy machine must not fail what has nothing to do with it. */
const unhurried = { GUARDIAN_LOCK_HOLD_MS: "10000", GUARDIAN_LOCK_PAUSE_MS: "20" };

/**
 * Applies every module of sql/ with the product's own engine to a v6 that nobody else uses.
 * @param folder where the modules are, if not in sql/
 * @param env the engine's times, where the defaults do not fit: GUARDIAN_LOCK_HOLD_MS and its like
 * @returns the modules in order
 * @throws GuardianError as loadModule and applyModule do
 */
export function applyAll(login: Login, folder = sqlFolder, env: NodeJS.ProcessEnv = unhurried): Promise<Module[]> {
  const apply = async (operator: Operator): Promise<Module[]> => {
    await operator.open();
    const modules: Module[] = [];
    for (const name of moduleNames(folder)) {
      const module = await loadModule(name, folder);
      await operator.apply(module);
      modules.push(module);
    }
    return modules;
  };
  return withOperator(login, apply, { parameters: engineParameters(env) });
}
