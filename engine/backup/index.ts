export { adoptable, type AdoptOptions, type FoundBackup } from "./adopt";
export { findClient } from "./client";
export { dump } from "./dump";
export { type Manifest, verifyBackup } from "./manifest";
/** @lazily */
export { planBackup } from "./step/plan";
export { preflight } from "./preflight";
export type { BackupProgress } from "./progress";
/** @lazily */
export { prove } from "./prove";
/** @lazily */
export { takeBackup } from "./step/take";
export type { DumpOptions } from "./work";
