import { hash } from "../base/hash";

/** Where backups go off this machine, as a stack declares it. */
export interface WantedStore {
  /** s3://bucket or s3://bucket/prefix. */
  to: string;
  /** age1… keys that backups are encrypted for; "none" alone: the store gets them as they are. */
  recipients: readonly string[];
  /** The KMS key, by id, ARN or alias, that the server encrypts with besides. */
  kmsKey?: string;
  /** Another server than AWS's. */
  endpoint?: string;
  /** Whether the bucket stands in the path of URLs rather than in the host's name. Absent: where there is an endpoint. */
  pathStyle?: boolean;
  /** Absent: what the SDK finds (AWS_REGION, the profile). */
  region?: string;
  /** env:NAME or file:PATH of the age identity that reads them back. */
  identityFrom?: string;
}

/** Who can read what is stored, and with which key of which server: what was stored otherwise is stored anew. */
export function sealOf({ recipients, kmsKey, endpoint }: WantedStore): string {
  return hash({ recipients: recipients.map((one) => one.toLowerCase()).sort(), kmsKey, endpoint });
}

/** The two halves of s3://bucket/prefix; the prefix ends with a slash, or is empty. */
export function placeOf(to: string): { bucket: string; prefix: string } {
  const [bucket = "", ...folders] = to.replace(/^s3:\/\//, "").split("/");
  const prefix = folders.filter((folder) => folder !== "").join("/");
  return { bucket, prefix: prefix === "" ? "" : `${prefix}/` };
}

/** Where a backup of a name is, or will be. */
export function addressOf({ to }: Pick<WantedStore, "to">, name: string): string {
  const { bucket, prefix } = placeOf(to);
  return `s3://${bucket}/${prefix}${name}`;
}

/** Whose backups they are: what is swept of a killed upload bears this mark. */
export interface Owner {
  readonly ledgerId: string;
  readonly systemIdentifier: string;
  readonly database: string;
}
