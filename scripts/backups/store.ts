import { createRequire } from "node:module";
import type { Options, Values } from "../command/description";
import { GuardianError } from "../../engine/base/errors";
import { shown } from "../../engine/base/names";
import type { WantedStore } from "../../engine/store/wanted";
import { shownId, type KnownLedger, type Place } from "./place";

/** What says which store is meant. */
export const storeOptions = {
  from: { value: "S3", about: "the store, s3://bucket/prefix (default: guardian:backup.to of the stack)" },
  "identity-from": {
    value: "SOURCE",
    about: "env:NAME or file:PATH of an age identity (default: guardian:backup.identityFrom)",
  },
  endpoint: { value: "URL", about: "another S3 server than AWS's (default: guardian:backup.endpoint)" },
  region: { value: "NAME", about: "the bucket's region (default: guardian:backup.region, AWS_REGION)" },
} as const;

/** The store that is meant. @throws GuardianError where none is */
export function storeOf({ backup }: Place, own: Partial<Values<Options>>): WantedStore {
  const text = (name: keyof typeof storeOptions): string | undefined => {
    const value = own[name];
    return typeof value === "string" ? value : undefined;
  };
  const from = text("identity-from");
  if (from !== undefined && !/^(env|file):./.test(from)) {
    throw new GuardianError("usage", {
      what: "--identity-from is neither env:NAME nor file:PATH; if it is the identity itself, it is in the shell's history now",
      where: "npm run backups",
      todo: ["--identity-from file:PATH, PATH being what age-keygen wrote", "--identity-from env:NAME"],
    });
  }
  const to = text("from") ?? backup.to;
  if (to === undefined) {
    throw new GuardianError("usage", {
      what: "no store is named, and the stack has none",
      where: "npm run backups",
      todo: ["name it: --from s3://bucket/prefix", "name the stack whose guardian:backup.to it is: --stack NAME"],
    });
  }
  const said = {
    identityFrom: from ?? backup.identityFrom,
    endpoint: text("endpoint") ?? backup.endpoint,
    region: text("region") ?? backup.region,
    pathStyle: backup.pathStyle,
  };
  const given = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
  return { ...(given as Partial<WantedStore>), to, recipients: backup.recipients ?? [] };
}

const load = createRequire(__filename);
/** The SDK takes longer to load than all else of the command. */
const store = (): typeof import("../../engine/store") =>
  load("../../engine/store") as typeof import("../../engine/store");

/** A backup in the store, as programs read it. */
export interface StoredOne {
  id: string;
  state: "whole" | "half an upload" | "unreadable";
  /** Why it is unreadable. */
  why?: string;
  takenAt?: string;
  database?: string;
  ledgerId?: string;
  encryption?: "age" | "none";
  recipients?: readonly string[];
  /** Of all objects. */
  bytes: number;
}

/** What is in the store, the oldest first. @throws GuardianError */
export async function stored(wanted: WantedStore, signal: AbortSignal): Promise<StoredOne[]> {
  const all = (await store().listStored(wanted, signal)).map(({ name, index, bytes, why }): StoredOne => {
    if (why !== undefined) return { id: name, state: "unreadable", why, bytes };
    if (!index) return { id: name, state: "half an upload", bytes };
    const { takenAt, encryption, recipients, owner } = index;
    const { database, ledgerId } = owner;
    return { id: name, state: "whole", takenAt, database, ledgerId, encryption, recipients, bytes };
  });
  return all.sort((a, b) => ((a.takenAt ?? "") < (b.takenAt ?? "") ? -1 : 1));
}

/** What is said of one whose index cannot be read: it may be younger than what is taken for the latest. */
export const unreadable = ({ id, why = "" }: StoredOne): string => `${shown(id)} in the store is left out: ${why}`;

/** A line of a table for people. */
export const storedRow = ({ id, state, takenAt, database, ledgerId, encryption, recipients, bytes }: StoredOne) => ({
  id: shown(id),
  taken: takenAt?.slice(0, 16).replace("T", " ") ?? "",
  database: shown(database ?? ""),
  ledger: ledgerId?.slice(0, 8) ?? "",
  MB: Math.round(bytes / 1e5) / 10,
  encrypted: encryption === "age" ? `for ${recipients?.length ?? 0}` : (encryption ?? ""),
  note: state === "whole" ? "" : state,
});

/**
 * Brings one back, decrypted, into the folder where backups are.
 * @param id its name, a part of it that no other has, or latest
 * @param noted what the ledger noted when they were stored, where it could be asked: an index that is another is refused
 * @throws GuardianError
 */
export async function fetched(
  wanted: WantedStore,
  id: string,
  directory: string,
  { env, signal, say }: { env: NodeJS.ProcessEnv; signal: AbortSignal; say: (line: string) => void },
  noted: KnownLedger["stored"] = [],
): Promise<{ id: string; path: string }> {
  const all = await stored(wanted, signal);
  const whole = all.filter(({ state }) => state === "whole");
  for (const one of all) if (one.state === "unreadable") say(unreadable(one));
  const named = whole.filter((one) => one.id === id);
  const like =
    id === "latest" ? whole.slice(-1) : named.length > 0 ? named : whole.filter((one) => one.id.includes(id));
  const databases = new Set(whole.map(({ database, ledgerId }) => `${database ?? ""} ${ledgerId ?? ""}`));
  const of =
    id === "latest" && databases.size > 1 ? `latest could be of ${databases.size} databases or ledgers` : undefined;
  if (!like[0] || like.length > 1 || of !== undefined) {
    throw new GuardianError("backup-unknown", {
      what:
        of ??
        (like.length > 1
          ? `${like.length} backups have ${id} in their names`
          : `there is no whole backup ${shownId(id)}`),
      where: wanted.to,
      todo: "see what there is, and name one: npm run backups -- stored",
    });
  }
  say(`bringing ${like[0].id} from ${wanted.to} into ${directory}`);
  let told = 0;
  const onProgress = ({ bytes, total }: { bytes: number; total: number }): void => {
    if (Date.now() < told + 10_000 && bytes < total) return;
    told = Date.now();
    say(`${(bytes / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`);
  };
  const ending = `/${like[0].id}`;
  const { indexSha256, manifestSha256 } = noted.find(({ at }) => at.endsWith(ending)) ?? {};
  if (indexSha256 === undefined) say("its index is not compared with a ledger: whoever writes to the store is trusted");
  const options = { directory, env, signal, onProgress, indexSha256, manifestSha256 };
  const { name, path } = await store().fetchBackup(wanted, like[0].id, options);
  return { id: name, path };
}
