import type { Note } from "../../base/plan";
import type { Queryable } from "../../base/sql";
import type { ServerInfo } from "../../connect";
import { ledgerSchema } from "../../ledger/schema";
import type { Step } from "../../ledger/steps";
import { checkScratch, resolveScratch } from "../../scratch";
import { refuseUnknown } from "./accept";
import { isAwaited, needsProof, needsStoring, pathOf, serves, type WantedBackup } from "./policy";
import { preflight } from "../preflight";
import { refuseListing } from "./proof";
import { roomFor } from "../room";
import { planStore } from "./stored";

/** Where and what a backup is planned for. */
interface PlannedFor {
  readonly server: ServerInfo;
  /** "host:port/database as user". */
  readonly where: string;
  readonly urn: string;
  /** The newest attempts of the whole ledger; none where there is no ledger. */
  readonly steps: readonly Step[];
  readonly env: NodeJS.ProcessEnv;
}

/**
 * What `up` would do about the backup: whether it dumps, where it restores, what waits for that.
 * @throws GuardianError that `up` would end with, as far as it can be known: client programs, rights, room, a scratch
 * @lazily
 */
export async function planBackup(db: Queryable, wanted: WantedBackup, about: PlannedFor): Promise<Note[]> {
  const { steps, urn, server, where, env } = about;
  const { directory, protects, verify, scratch } = wanted;
  const awaited = isAwaited(steps, urn, protects);
  const standing = serves(steps, urn, wanted);
  if (awaited) {
    refuseListing(wanted);
    await refuseUnknown(db, wanted);
  }
  const notes: Note[] = [];
  const room = await roomFor(db, steps, urn, wanted);
  if (standing) notes.push(info(`no dump is taken: the backup in ${pathOf(steps, urn)} serves`));
  else {
    const asked = awaited ? { room } : {};
    const look = { server, where, directory, excludeSchemas: [ledgerSchema], env, ...asked };
    const { errors, warnings } = await preflight(db, look);
    if (errors[0]) throw errors[0];
    notes.push(info(`all schemas but ${ledgerSchema} are dumped into a folder in ${directory}`));
    notes.push(...warnings.map((text) => ({ severity: "warning", text }) as const));
  }
  if (!awaited) {
    if (!standing) notes.push(info("it is not proven: what is only taken out does not wait for a restore"));
  } else if (verify === "list") {
    notes.push({
      severity: "warning",
      text: "guardian:backup.verify is list: nobody will have restored the backup when changes begin that may need it",
    });
  } else if (!standing || needsProof(steps, urn, wanted)) {
    const on = await checkScratch({
      major: server.major,
      bytes: room.scratch,
      configured: scratch && resolveScratch(scratch, env),
      owner: "",
      systemIdentifier: server.systemIdentifier,
    });
    notes.push(info(`it is restored on ${on} and compared; nothing is added or changed before it is proven`));
  }
  if (wanted.store && awaited && (!standing || needsStoring(steps, urn, wanted))) {
    notes.push(await planStore(wanted.store));
  }
  return notes;
}

const info = (text: string): Note => ({ severity: "info", text });
