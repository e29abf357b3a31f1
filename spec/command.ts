/** By this variable `npm run pulumi` says to the program and the plugin how it is called. */
export const calledBy = "GUARDIAN_PULUMI";

const wrapper = "npm run pulumi --";

/** @returns how the wrapper is called for a project. @param folder what -C named; undefined for this clone */
export const wrapperCall = (folder: string | undefined): string =>
  folder === undefined ? wrapper : `${wrapper} -C '${folder.replaceAll("'", "'\\''")}'`;

const stackNow = "GUARDIAN_STACK";

/** Says which stack this process works on: ways out name it, since another may be selected where they are typed. */
export function workOn(stack: string): void {
  process.env[stackNow] = stack;
}

/**
 * @param args such as `refresh`
 * @returns the command that a way out names, as whoever reads it can type it: by the wrapper it may be the only Pulumi
 *   that is there, and a plain one would look for another state. With `--stack` where it is known, and the command is not
 *   about a stack by its name
 */
export function pulumiCommand(args: string): string {
  const by = process.env[calledBy];
  const stack = process.env[stackNow] ?? "";
  const named = /^[\w.-]+$/.test(stack) && !/^stack\b/.test(args) ? ` --stack ${stack}` : "";
  return `${by?.startsWith(wrapper) ? by : "pulumi"} ${args}${named}`;
}

/**
 * Runs a command of npm that is no `npm run pulumi` itself, and whose reader may have no other Pulumi either: what it says
 * to do is called by the wrapper meanwhile.
 * @param folder what --cwd named; undefined for this clone
 * @param stack what --stack named; undefined for the one that is selected, which the wrapper takes as well
 */
export async function called<T>(
  folder: string | undefined,
  stack: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const was = [process.env[calledBy], process.env[stackNow]];
  const restore = (name: string, value: string | undefined): void => {
    if (value === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = value;
  };
  process.env[calledBy] = wrapperCall(folder);
  restore(stackNow, stack);
  try {
    return await work();
  } finally {
    restore(calledBy, was[0]);
    restore(stackNow, was[1]);
  }
}
