import type { ErrorCode } from "../../spec/codes";
import { GuardianError, type GuardianErrorFields, isPostgres } from "../base/errors";

/** The session is gone: server down, backend terminated, network cut. Whatever was uncommitted is rolled back. */
export class ConnectionLostError extends GuardianError {
  constructor(code: ErrorCode, fields: GuardianErrorFields) {
    super(code, fields);
    this.name = new.target.name;
  }
}

/** The session went while COMMIT was under way, and the server did not tell how it ended, or not so that it is believed. */
export class CommitUnknownError extends ConnectionLostError {
  /** The transaction's id (xid8), for transactionOutcome(). */
  readonly xid: string;

  constructor(xid: string, where: string, cause: unknown) {
    super("commit-unknown", {
      what: "the connection was lost during COMMIT, and the server did not say whether it took place",
      where: `${where}, transaction ${xid}`,
      todo: [
        "run again: the ledger says what is done",
        `once the same server answers, and no standby that was promoted: SELECT pg_catalog.pg_xact_status('${xid}'::pg_catalog.xid8)`,
      ],
      cause,
    });
    this.xid = xid;
  }
}

/** Socket errors after which nothing comes back, and the texts of pg's errors that have no code. */
const socketCodes = /^(ECONNRESET|EPIPE|ETIMEDOUT|ECONNABORTED|ENETDOWN|EHOSTUNREACH|ERR_STREAM_\w+|ERR_SSL_\w+)$/;
const clientTexts = /^(Connection terminated|Client was closed|Client has encountered a connection error)/;

/** True if the session cannot be used after this error: a FATAL of the server, or a dead socket. */
export function isLoss(err: unknown): boolean {
  if (err instanceof ConnectionLostError) return true;
  if (isPostgres(err)) return err.severity === "FATAL" || err.severity === "PANIC" || (err.code ?? "").startsWith("08");
  if (!(err instanceof Error)) return false;
  return clientTexts.test(err.message) || ("code" in err && socketCodes.test(String(err.code)));
}

/**
 * The error that says so.
 *
 * @param cause  what ended the session: the first error heard of it, else the one at hand.
 */
export function connectionLost(cause: unknown, where: string): ConnectionLostError {
  const code = isPostgres(cause) ? (cause.code ?? "") : "";
  const reasons: Record<string, string> = {
    "57P01": "its session was terminated by an administrator, or the server is shutting down",
    "57P02": "the server crashed",
    "57P05": "idle_session_timeout ended it",
    "25P03": "idle_in_transaction_session_timeout ended it",
    "25P04": "transaction_timeout ended it",
  };
  const reason = reasons[code];
  return new ConnectionLostError("connection-lost", {
    what: `the connection to the database was lost${reason ? `: ${reason}` : ""}`,
    where,
    todo: "run again when the server answers; what was not committed was rolled back",
    ...(code ? { sqlstate: code } : {}),
  });
}
