import {
  choice,
  filled,
  flag,
  integer,
  like,
  optional,
  otherwise,
  record,
  ruled,
  standing,
  within,
  type Complaint,
  type Property,
} from "../spec";

const verifications = ["restore", "list"] as const;

/** A time as one writes it, in seconds. */
const time = (description: string): Property<number, false> =>
  standing(like(/^[1-9]\d*[smhd]$/, "a number with s, m, h or d, such as 30m, 1h or 2d", description), (written) => {
    const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[written.slice(-1)] ?? 1;
    return Number(written.slice(0, -1)) * unit;
  });

/** What is said of the store, and says nothing where there is none. */
const ofStore = ["recipients", "kmsKey", "endpoint", "pathStyle", "region", "identityFrom"] as const;

/** A server on this machine. */
const here = /^https?:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?\/?$/;

/** What belongs together of where a backup goes. */
function together(found: { to?: string; recipients?: readonly string[]; endpoint?: string }): Complaint[] {
  const { recipients, endpoint } = found;
  if (!("to" in found)) {
    const idle = ofStore.filter((key) => key in found);
    return idle.map((key) => ({
      path: [key],
      text: "has no effect without guardian:backup.to: on this machine a backup is kept in a folder of mode 0700, not encrypted",
    }));
  }
  if (!("recipients" in found)) {
    return [
      {
        path: ["recipients"],
        text: "is missing: backups hold patients' data, say whose age keys they are encrypted for before they leave, or [none]",
      },
    ];
  }
  const none = recipients?.includes("none") ?? false;
  const complaints: Complaint[] = [];
  if (none && (recipients?.length ?? 0) > 1) {
    complaints.push({ path: ["recipients"], text: "has none beside keys: it is one or the other" });
  }
  if (none && "identityFrom" in found) {
    complaints.push({ path: ["identityFrom"], text: "has no effect: guardian:backup.recipients is none" });
  }
  if (none && endpoint?.startsWith("http:") && !here.test(endpoint)) {
    complaints.push({
      path: ["endpoint"],
      text: "is not encrypted (http), and neither is the backup: use https, or name guardian:backup.recipients",
    });
  }
  return complaints;
}

export const backupKeys = {
  backup: otherwise(
    {},
    ruled(
      record(
        {
          directory: otherwise(".guardian/backups", like(/\S/, "a folder", "Where backups are written.")),
          jobs: otherwise(2, within(1, 64, integer("Parallel jobs of pg_dump."))),
          /** In seconds. */
          maxAge: otherwise(
            "1h",
            time(
              "How long after the end of its proof a backup serves changes that are still to come; older, up takes a new one.",
            ),
          ),
          verify: otherwise(
            "restore",
            choice(
              verifications,
              "restore: whatever adds or changes waits until the backup was restored on a scratch server and compared. list: only its table of contents is read, which proves nothing; a warning, and refused where guardian:strict is true.",
            ),
          ),
          /** In seconds. */
          maxRestore: optional(
            time("How long a restore may take. Longer is a warning, and refused where guardian:strict is true."),
          ),
          keep: otherwise(
            {},
            record(
              {
                count: otherwise(5, within(1, 1000, integer("The newest so many are kept."))),
                /** In seconds. */
                age: otherwise("30d", time("All that are younger are kept.")),
              },
              "What `npm run backups -- prune` keeps, besides what the ledger relies on and the last one that is proven: {count: 5, age: 30d}.",
            ),
          ),
          to: optional(
            like(
              // No address and no empty label as a bucket, no . or .. as a folder: servers and clients make another path of them.
              /^s3:\/\/(?![\d.]+(\/|$)|[^/]*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/(?!\.{1,2}(\/|$))[\w!.*'()-]+)*\/?$/,
              "s3://bucket or s3://bucket/prefix",
              "Where each backup is stored off this machine once it is proven; whatever adds or changes waits for that. Credentials are the AWS SDK's own: variables, profile, role.",
            ),
          ),
          recipients: optional(
            filled(
              like(/^(none|age1[a-z0-9]+|AGE1[A-Z0-9]+)$/, "an age key (age1…), or none", "Who can read it."),
              "The age keys that backups are encrypted for before they leave; the word none alone, and they leave as they are.",
              "a list of age keys (age1…), or [none]",
            ),
          ),
          identityFrom: optional(
            like(
              /^(env:[A-Za-z_]\w*|file:.+)$/,
              "env:NAME or file:PATH",
              "Where the age identity is that opens them, never the identity itself: with it what was stored is decrypted too, to verify it. A restore needs it; the machine that migrates does not.",
            ),
          ),
          kmsKey: optional(
            like(/^\S+$/, "a key's id, ARN or alias", "The KMS key that the store encrypts with besides."),
          ),
          region: optional(
            like(/^[a-z0-9-]+$/, "a region", "The bucket's. Absent: the AWS SDK's own (AWS_REGION, profile)."),
          ),
          endpoint: optional(
            like(/^https?:\/\/[^\s/@?#]+\/?$/, "an http or https URL", "Another S3 server than AWS's."),
          ),
          pathStyle: optional(
            flag(
              "Whether the bucket stands in the path of URLs, and not in the host's name. Absent: where there is an endpoint.",
            ),
          ),
        },
        "The dump before each change.",
      ),
      together,
    ),
  ),
};
