import { serverAccount } from "../server/account";
import { checkConfigured, openConfigured } from "./configured";
import { embeddedMajor, openEmbedded } from "./embedded";
import { chooseBase } from "./folder";
import type { Scratch, ScratchOptions } from "./scratch";

export { resolveScratch } from "./configured";
export type { Scratch, ScratchOptions } from "./scratch";

/**
 * Has a server on which a backup is restored: an embedded one of the same major version, which only this machine's user
 * can reach, by a socket; or the operator's own, on which only a database of our own making is touched. The embedded one
 * ends with this process, whatever ends that, and its files go.
 *
 * @throws GuardianError scratch-failed, disk-too-small, right-missing, or what connecting throws
 */
export function openScratch(options: ScratchOptions): Promise<Scratch> {
  return options.configured ? openConfigured(options.configured, options) : openEmbedded(options);
}

/**
 * Sees without writing whether openScratch() would have one, for preview.
 *
 * @returns where it would be, to be read after "on"
 * @throws what openScratch() would
 */
export async function checkScratch(options: ScratchOptions): Promise<string> {
  if (options.configured) {
    await checkConfigured(options.configured, options);
    return `${options.configured.toString()} (guardian:scratch)`;
  }
  const major = embeddedMajor(options.major);
  return `an embedded PostgreSQL ${major} in ${await chooseBase(serverAccount(), options.bytes)}`;
}
