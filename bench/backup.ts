import { GuardianError } from "../engine/base/errors";
import { clientFolder } from "../scripts/pg-clients";
import { createV6, withClient } from "../scripts/v6/database";
import { settingsOf } from "../scripts/v6/operator";
import { median, type Benchmark, type Figures, type Run } from "./benchmark";
import type { Server } from "../engine/server/server";
import { inFolder, withServer } from "./server";
import { ourDump, ourProof, rawDump, rawProof, type Work } from "./backup/sides";

const major = 17;

/** One round's seconds. */
interface Round {
  ours: number;
  raw: number;
}

/** What a backup and its proof cost beside the bare client programs, each side once a round, in turn. */
export const backup: Benchmark = {
  name: "backup",
  about:
    "a dump beside pg_dump (dumpRatio: at most 1.08), its proof beside pg_restore and one more dump (verifyRatio: at most 1.2)",
  notes: [
    "both with the same jobs and compression; what it takes until the scratch server runs is in neither",
    "restoreSeconds: until the database is back, from the first role to the last index",
  ],
  options: {
    users: { default: 100_000, least: 100, about: "users in the database" },
    rounds: { default: 3, least: 1, about: "how often each side is measured" },
    jobs: { default: 2, least: 1, about: "tables at once" },
  },
  run: (run) => inFolder((folder) => withServer(run, { major, settings }, (server) => measure(run, folder, server))),
};

const settings = { fsync: "on", shared_buffers: "512MB" };

async function measure({ say, signal, options }: Run, folder: string, server: Server): Promise<Figures> {
  const { users = 100_000, rounds = 3, jobs = 2 } = options;
  say(`v6 with ${users.toLocaleString("en")} users`);
  const { admin } = await createV6(server, "v6", { users });
  await withClient(admin, async (db) => {
    await db.query("VACUUM (ANALYZE)");
    await db.query("CHECKPOINT");
  });
  const work: Work = { settings: settingsOf(admin), bin: await clientFolder(major), folder, jobs, major, signal };
  const first = await ourDump(work); // warms up, and is what is proven
  const found = first.value;
  const compression = found.manifest.pgDump.compression ?? "gzip:1";
  const dumps: Round[] = [];
  const proofs: (Round & { restore: number })[] = [];
  for (let round = 0; round < rounds; round++) {
    const dumped = await inTurn(
      round,
      async () => (await ourDump(work)).seconds,
      () => rawDump(work, compression),
    );
    say(`dump: ${show(dumped)}`);
    dumps.push(dumped);
  }
  for (let round = 0; round < rounds; round++) {
    let restore = 0;
    const ours = async (): Promise<number> => {
      const { value, seconds } = await ourProof(work, found);
      if (value.verdict !== "proven")
        throw new GuardianError("measurement-failed", {
          what: `the backup is ${value.verdict}`,
          where: found.path,
        });
      restore = value.restoreSeconds;
      return seconds;
    };
    const proven = await inTurn(round, ours, () => rawProof(work, found));
    say(`proof: ${show(proven)}`);
    proofs.push({ ...proven, restore });
  }
  return {
    dumpRatio: ratio(dumps),
    verifyRatio: ratio(proofs),
    dumpSeconds: round2(median(dumps.map(({ ours }) => ours))),
    verifySeconds: round2(median(proofs.map(({ ours }) => ours))),
    restoreSeconds: round2(median(proofs.map(({ restore }) => restore))),
    megabytes: round2(found.bytes / 1e6),
  };
}

/** Each round begins with the other side. */
async function inTurn(round: number, our: () => Promise<number>, bare: () => Promise<number>): Promise<Round> {
  if (round % 2 === 0) {
    const ours = await our();
    return { ours, raw: await bare() };
  }
  const raw = await bare();
  return { ours: await our(), raw };
}

const round2 = (value: number): number => Math.round(value * 100) / 100;
const ratio = (rounds: readonly Round[]): number => round2(median(rounds.map(({ ours, raw }) => ours / raw)));
const show = ({ ours, raw }: Round): string =>
  `${ours.toFixed(2)} s, bare ${raw.toFixed(2)} s, ratio ${(ours / raw).toFixed(2)}`;
