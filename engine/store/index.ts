/*
 * Backups off this machine: an S3 bucket, each file encrypted before it leaves. Loaded only where it is configured: the SDK
 * takes longer to load than all else of the plugin.
 */
export { fetchBackup, listStored } from "./fetch";
/** @lazily */
export { reach } from "./fetch";
export { storeBackup } from "./upload";
