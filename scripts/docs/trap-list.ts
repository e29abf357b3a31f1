export interface Trap {
  id: string;
  /** What was wrong, in a few words. */
  about: string;
  /** Why it does not concern what is built here; absent where a test holds it. */
  reason?: string;
}

const trap = (id: string, about: string, reason?: string): Trap => ({ id, about, ...(reason ? { reason } : {}) });

const notBuilt = (what: string): string => `${what} is not part of this migration`;

/** Every trap that was found, in groups. */
export const groups: readonly { title: string; traps: readonly Trap[] }[] = [
  {
    title: "The guide",
    traps: [
      trap("S-1", "Assessment calls anything with a table named documents ready"),
      trap("S-2", "A text dump is verified with pg_restore, which refuses it; no rehearsal"),
      trap("S-3", "Row counts are tuples read by scans, joined by table name alone"),
      trap("S-4", "Included files are missing; a failure ends with exit code 0"),
      trap("S-5", "Included files commit the outer transaction"),
      trap("S-6", "The first flag update fails for want of audit_log"),
      trap("S-7", "Rollout 0 with enabled = true is on for everybody"),
      trap("S-8", "Verification counts any relation that looks like fhir"),
      trap("S-9", "Consent back-fill reads a missing column and writes every user twice"),
      trap("S-10", "Back-fill asserts a consent that nobody gave"),
      trap("S-11", "Preferences need a table that v6 lacks; en-AU aborts them all"),
      trap("S-12", "Validation compares tables with themselves"),
      trap("S-13", "The performance test always raises; its baselines are invented"),
      trap("S-14", "The emergency rollback writes a forbidden status and turns nothing off"),
      trap("S-15", "It leaves percentages and lists, and 7 of 12 flags"),
      trap("S-16", "Anyone may run it, users fail in it, success is told anyway"),
      trap("S-17", "The graceful rollback leaves the features on"),
      trap("S-18", "Notices miss columns and use forbidden types"),
      trap("S-19", "role != 'admin' leaves out accounts without a role"),
      trap("S-20", "Padded month, array as text, everything twice on a second run"),
      trap("S-21", "Slow queries without the extension, blocking REINDEX, a session never kept current"),
      trap(
        "S-22",
        "The guide contradicts itself on time, loss and compatibility",
        "a contradiction of prose; README and the stack's gates say one thing each",
      ),
    ],
  },
  {
    title: "Feature flags",
    traps: [
      trap("F-1", "Audit trigger and audit table do not fit each other"),
      trap("F-2", "The same users are first for every flag"),
      trap("F-3", "abs(hashtext) overflows and is not stable over versions"),
      trap("F-4", "A user is listed twice or more; a per-user call changes the global percentage"),
      trap("F-5", "anon may switch features on"),
      trap("F-6", "A temporary table answers for feature_flags"),
      trap("F-7", "Policies read auth.users as the caller, and trust what users can edit"),
      trap("F-8", "Everybody reads who is on the lists"),
      trap("F-9", "Cannot run twice; NULL percentage; VOLATILE; updated_at not kept"),
      trap("F-10", "A later paper inserts the flags again and drops a default"),
    ],
  },
  {
    title: "Consent",
    traps: [
      trap("C-1", "A policy needs a table that does not exist"),
      trap("C-2", "A refusal or request cannot be stored"),
      trap("C-3", "A general consent shows the patient's row to every user"),
      trap("C-4", "A general consent opens the record to any accessor, of any type"),
      trap("C-5", "anon grants and revokes for others"),
      trap("C-6", "A temporary table answers for patient_consents"),
      trap("C-7", "The audit trigger lacks the right to write"),
      trap("C-8", "Deletion can neither be done nor audited"),
      trap("C-9", "Every act is audited twice"),
      trap("C-10", "The immutable audit can be changed and truncated"),
      trap("C-11", "New evidence is lost where there was none"),
      trap("C-12", "An empty request setting breaks a cast"),
      trap("C-13", "Two grants at once make two consents"),
      trap("C-14", "A second run fails, prints success, or doubles rows"),
      trap("C-15", "The view runs as its owner"),
      trap("C-16", "Partial days, past ends and the actor of a revocation"),
      trap("C-17", "Purposes and columns are named differently in each paper"),
    ],
  },
  {
    title: "Deletion and erasure",
    traps: [
      trap("D-1", "Accounts can no longer be deleted"),
      trap("D-2", "Documents and lab results can no longer be deleted"),
      trap("D-3", "No key says what becomes of its row"),
    ],
  },
  {
    title: "FHIR",
    traps: [
      trap("I-1", "No row security; secrets and identifiers readable by anon"),
      trap("I-2", "Patient needs a missing table and emits nulls"),
      trap("I-3", "Observation reads columns that do not exist and casts text to numbers"),
      trap("I-4", "Import creates accounts by a JSON object as e-mail"),
      trap("I-5", "Import of observations always fails"),
      trap("I-6", "Validation knows two of four resources and passes a missing type"),
      trap("I-7", "Any role exports any patient"),
      trap("I-8", "Consent resource: upsert without a key, nulls, forbidden codes"),
      trap("I-9", "Guardian's life cycle taken for the result's status"),
    ],
  },
  {
    title: "User experience",
    traps: [
      trap("U-1", "Policy of memberships recurses"),
      trap("U-2", "A policy compares two columns of the inner table"),
      trap("U-3", "Withdrawing a consent fails in a notification trigger"),
      trap("U-4", "Completing a queue item fails in a trigger"),
      trap("U-5", "Priorities compared as text, quiet hours that never wrap"),
      trap("U-6", "Digests of a forbidden type, and of nothing"),
      trap(
        "U-7",
        "Sharing and export demand a consent of the patient to himself",
        notBuilt("sharing between organisations"),
      ),
      trap(
        "U-8",
        "Migrating a user fails in its own log",
        "users are moved by the data stage, set-based and recorded in the ledger",
      ),
      trap(
        "U-9",
        "Rollback disables all triggers and writes a missing column",
        "a rollback is the engine's; it needs no superuser and disables no trigger of v6",
      ),
      trap("U-10", "Status view shows others' documents"),
      trap("U-11", "Two views of one name; row security on a view"),
      trap("U-12", "A participant takes the session over, or deletes it"),
      trap(
        "U-13",
        "Batch check keeps one answer a resource type",
        notBuilt("the batch consent check of the rival design"),
      ),
      trap(
        "U-14",
        "Materialized dashboard ignores row security",
        notBuilt("the dashboard; no module makes a materialized view"),
      ),
      trap(
        "U-15",
        "Export helpers are missing, exports take the caller for the patient",
        notBuilt("the export to PDF and CSV"),
      ),
      trap("U-16", "Progress of a weight-loss goal is 100 % from the start", notBuilt("the tracking of goals")),
    ],
  },
  {
    title: "Core, security, performance",
    traps: [
      trap("K-1", "Expressions inside table UNIQUE", notBuilt("the new clinical core")),
      trap("K-2", "Soft delete is impossible under its own policy", notBuilt("soft deletion of clinical rows")),
      trap("K-3", "Access by either end of a relationship", notBuilt("relationships between clinical rows")),
      trap("K-4", "A vocabulary function assumes a column", notBuilt("the vocabulary of the clinical core")),
      trap("K-5", "A parameter compared with itself", notBuilt("the dashboard cache")),
      trap("K-6", "Encryption with keys that every user can read"),
      trap("K-7", "Audit without partitions, row security or actor"),
      trap("K-8", "Export and erasure ask nobody who calls"),
      trap(
        "K-9",
        "Access trusts flags that the caller supplies",
        notBuilt("device and MFA checks inside the database"),
      ),
      trap("K-10", "Columns that do not exist; REINDEX CONCURRENTLY in a function"),
      trap("K-11", "Numbers compared with constants typed into the function"),
      trap("K-12", "Benchmarks that measure something else; p95 = mean x 1.2"),
      trap("K-13", "Gates pass on NULL; a rollback that leaves the flag on"),
      trap("K-14", "A trigger that swallows deletions"),
      trap("K-15", "search_path never pinned, PUBLIC executes everything"),
      trap("K-16", "Policies without TO, auth.uid() a row, FOR ALL without WITH CHECK"),
    ],
  },
  {
    title: "v6 itself",
    traps: [
      trap("V6-1", "Normalization ends as failed everywhere"),
      trap("V6-2", "Two indexes reject large documents on update"),
      trap("V6-3", "Updating documents calls out over HTTP"),
      trap("V6-4", "A key lies in a setting that users can read"),
      trap("V6-5", "Rows without an owner, and duplicate lab results"),
      trap("V6-6", "A percentage above 100", "v6's own function, which stays as it is"),
    ],
  },
];
