export { adoptable, type AdoptOptions, type FoundBackup } from "./adopt";
export { type ClientName, type ClientProgram, findClient } from "./client";
export { type BackupResult, dump } from "./dump";
export {
  dumpFolder,
  type Manifest,
  manifestFile,
  type ManifestFile,
  type ManifestTable,
  verifyBackup,
} from "./manifest";
export { type Preflight, preflight, type PreflightOptions } from "./preflight";
export type { BackupProgress } from "./progress";
export type { DumpOptions } from "./work";
