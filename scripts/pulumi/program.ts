import { createRequire } from "node:module";

/** A Pulumi program as a function; what it resolves with are the stack's outputs. */
export type Program = () => Promise<Record<string, unknown> | undefined>;

/** The program of a project, loaded when the engine asks for it, so that an error in it is shown as the program's. */
export function programOf(project: string): Program {
  return async () => {
    const exported: unknown = createRequire(__filename)(project);
    return typeof exported === "function" ? await (exported as Program)() : (exported as Record<string, unknown>);
  };
}
