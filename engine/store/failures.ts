import type { ErrorCode } from "../../spec/codes";
import { GuardianError } from "../base/errors";

/** What an error of the SDK has, as far as it is of use. */
interface Refusal {
  name: string;
  message: string;
  code: string;
  status: number | undefined;
}

interface Meaning {
  code: ErrorCode;
  what: string;
  todo: readonly string[];
}

const again = "run again: it goes on from what is stored";

/** By S3's error codes (API reference, "Error responses"), the SDK's own, and node's. */
const meanings: readonly (readonly [RegExp, Meaning])[] = [
  [
    /^(CredentialsProviderError|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|TokenRefreshRequired|InvalidClientTokenId|UnrecognizedClientException|InvalidSecurity|InvalidIdentityToken|TokenProviderError|MissingAuthenticationToken)$/,
    {
      code: "store-credentials",
      what: "the store does not know the credentials, or there are none",
      todo: [
        "give credentials as the AWS SDK takes them: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role",
        "see whom they are of: aws sts get-caller-identity",
      ],
    },
  ],
  [
    /^(ExpiredToken|ExpiredTokenException|RequestExpired)$/,
    {
      code: "store-credentials",
      what: "the credentials for the store have expired",
      todo: ["log in anew (aws sso login, or whatever gave them)", again],
    },
  ],
  [
    /^(RequestTimeTooSkewed|RequestInTheFuture)$/,
    {
      code: "store-clock",
      what: "the clock of this machine and the store's differ too much",
      todo: ["set this machine's clock by a time server (timedatectl status)"],
    },
  ],
  [
    /^NoSuchBucket$/,
    {
      code: "store-missing",
      what: "the bucket does not exist",
      todo: ["mend the name: guardian:backup.to", "make it: docs/store.md"],
    },
  ],
  [
    /^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException|TemporaryRedirect|301)$|Region is missing/,
    {
      code: "store-missing",
      what: "the bucket is in another region, or no region is said",
      todo: ["name it: guardian:backup.region, or AWS_REGION"],
    },
  ],
  [
    /^(BadDigest|InvalidDigest|XAmzContentChecksumMismatch|XAmzContentSHA256Mismatch|IncompleteBody)$/,
    {
      code: "store-damaged",
      what: "what the store received is not what was sent (a checksum differs)",
      todo: [
        again,
        "if it comes back: something between here and the store changes what passes, or memory is at fault",
      ],
    },
  ],
  [
    /^(KMS\.\w+|KMS\w+|NotFoundException)$/,
    {
      code: "store-denied",
      what: "the store cannot use the KMS key",
      todo: [
        "mend guardian:backup.kmsKey",
        "grant kms:GenerateDataKey and kms:Decrypt of it, and see that it is enabled",
      ],
    },
  ],
  [
    /^(AccessDenied|AccessDeniedException|AllAccessDisabled|AccountProblem|403|Forbidden|MethodNotAllowed|InvalidObjectState)$/,
    { code: "store-denied", what: "the credentials lack a right in the store", todo: ["grant what is named"] },
  ],
  [
    /^(PreconditionFailed|ConditionalRequestConflict)$/,
    {
      code: "store-foreign",
      what: "there is an object of that name already, which is not of this backup; it was left as it is",
      todo: ["see whose it is, and name another prefix: guardian:backup.to", again],
    },
  ],
  [
    /^(EntityTooLarge|QuotaExceeded|InsufficientStorage|XMinioStorageFull|507|ENOSPC|EDQUOT)$/,
    { code: "store-failed", what: "the store has no room for it", todo: ["make room there", again] },
  ],
  [
    /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|TimeoutError|RequestTimeout|NetworkingError|ERR_TLS\w*|CERT_\w+|DEPTH_ZERO\w+|SELF_SIGNED\w+|UNABLE_TO_\w+|HPE_\w+|EPROTO)$/,
    {
      code: "store-unreachable",
      what: "the store does not answer, or stopped in the midst of it",
      todo: ["see whether it can be reached from here (network, proxy, guardian:backup.endpoint)", again],
    },
  ],
];

const locked = /object lock|worm|retention|legal hold|\blocked\b/i;

/**
 * What a call of the store ended with, as this product says it; one that says it already stays as it is.
 * @param doing what was being done: "to upload"
 * @param where s3://bucket/key
 */
export function storeFailure(err: unknown, doing: string, where: string): GuardianError {
  if (err instanceof GuardianError) return err;
  const refusal = read(err);
  const said = (what: string): string => `${what}; it was ${doing}${told(refusal)}`;
  if (doing === "to be deleted" && locked.test(refusal.message)) {
    return new GuardianError("store-locked", {
      what: said("object lock keeps an object from being deleted"),
      where,
      todo: ["leave it: the bucket's lifecycle takes it once its retention is over", "see docs/store.md, object lock"],
      cause: err,
    });
  }
  const keys = [refusal.name, refusal.code, String(refusal.status ?? ""), refusal.message];
  const found = meanings.find(([pattern]) => keys.some((key) => pattern.test(key)));
  if (found) {
    const [, { code, what, todo }] = found;
    return new GuardianError(code, { what: said(what), where, todo, cause: err });
  }
  return new GuardianError("store-failed", {
    what: said("the store failed"),
    where,
    todo: [again, "if it comes back: see the store's own log"],
    cause: err,
  });
}

/**
 * What of a text lets somebody in, or may: the command of credential_process with what it printed, the query of a presigned URL, a
 * signature, an access key's id, who logs in to a URL.
 */
const secret: readonly (readonly [RegExp, string])[] = [
  [/(Command failed)\b.*/s, "$1"],
  [/\?\S*(?:X-Amz-|Signature=|AWSAccessKeyId=)\S*/gi, "?…"],
  [/\b((?:Credential|Signature|Token)["']?[=:]\s*["']?)[^\s,"'&<]+/gi, "$1…"],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{8,}/g, "…"],
  [/\/\/[^\s/@]+@/g, "//…@"],
];
const secretVariables = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/** @returns a text of the SDK's or a server's without what lets somebody in */
function harmless(text: string): string {
  const values = secretVariables.flatMap((name) => process.env[name] || []);
  const without = values.reduce((said, value) => said.replaceAll(value, "…"), text);
  return secret.reduce((said, [pattern, instead]) => said.replace(pattern, instead), without);
}

/** S3's own words name objects, actions and rights, and never what is in a backup. */
function told({ name, message, status, code }: Refusal): string {
  const words = harmless(message).replace(/\s+/g, " ").slice(0, 300);
  const what = [name, code].find((one) => one !== "" && one !== "Error") ?? "Error";
  return `, and it says ${what}${status === undefined ? "" : ` (${status})`}${words === "" ? "" : `: ${words}`}`;
}

function read(err: unknown): Refusal {
  const given = (typeof err === "object" && err !== null ? err : {}) as {
    name?: unknown;
    message?: unknown;
    code?: unknown;
    Code?: unknown;
    errors?: readonly unknown[];
    $metadata?: { httpStatusCode?: number };
  };
  // Of several addresses that were tried, the first.
  if (given.errors?.[0] !== undefined && (given.message === "" || given.message === undefined)) {
    return read(given.errors[0]);
  }
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return {
    name: text(given.name),
    message: text(given.message),
    code: text(given.code) || text(given.Code),
    status: given.$metadata?.httpStatusCode,
  };
}

/** Whether an object of that name was there already. */
export const isForeign = (err: unknown): boolean => err instanceof GuardianError && err.code === "store-foreign";

/** Whether what the store holds is not what was sent. */
export const isDamage = ({ code }: GuardianError): boolean => ["store-damaged", "backup-broken"].includes(code);
