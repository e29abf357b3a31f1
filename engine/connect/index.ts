export { toClientEnv } from "./client-env";
export { CommitUnknownError, ConnectionLostError } from "./lost";
export { openClient, toPgConfig } from "./open";
export { transactionOutcome, type TransactionOutcome } from "./outcome";
export { knownServer, probeServer, type ServerInfo } from "./probe";
export { connectReader, Reader, Reading } from "./reader";
export { Secret } from "./secret";
export { Session, type Queryable, type SessionOptions } from "./session";
export {
  type ConnectionFields,
  ConnectionSettings,
  type DatabaseInput,
  resolveConnection,
  type SslMode,
} from "./settings";
export { count } from "./values";
export { connectWriter, Writer } from "./writer";
