export { adoptable, type AdoptOptions } from "./adopt";
export { findClient } from "./client";
export { dump } from "./dump";
export { type Manifest, verifyBackup } from "./manifest";
export { preflight } from "./preflight";
export type { BackupProgress } from "./progress";
/** @lazily */
export { takeBackup } from "./take";
export type { DumpOptions } from "./work";
