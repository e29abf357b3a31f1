import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newestDumpable } from "../scripts/postgres/newest";
import { startServer } from "../scripts/postgres/server";
import { findEngine } from "../scripts/pulumi/engine";
import type { Program } from "../scripts/pulumi/inline";
import { createV6, type Login } from "../scripts/v6/database";
import { median, type Benchmark, type Figures, type Run } from "./benchmark";
import { sameGraph } from "./floor/program";
import { floorPackage } from "./floor/names";
import { BenchStack } from "./stack";

const root = join(__dirname, "..");

/** What an `up` costs that finds nothing to do, beside the least that the engine can take for such a stack. */
export const noop: Benchmark = {
  name: "noop",
  about: "an up of the whole stack that changes nothing, and the same graph of resources that do nothing (aim: 1.5)",
  options: {
    rounds: { default: 5, least: 1, about: "how often each of the two is measured, in turn" },
    users: { default: 1000, least: 10, about: "users in the database" },
  },
  async run(run): Promise<Figures> {
    const folder = mkdtempSync(join(tmpdir(), "guardian-bench-"));
    try {
      return await withDatabase(run, (login) => measure(run, folder, login));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function withDatabase<T>({ say, options }: Run, work: (login: Login) => Promise<T>): Promise<T> {
  const { major, why } = await newestDumpable();
  say(`server: ${why}`);
  const server = await startServer({ major, say });
  try {
    return await work((await createV6(server, "guardian", { users: options["users"] ?? 1000 })).migrator);
  } finally {
    await server.stop();
  }
}

async function measure({ say, signal, options }: Run, folder: string, login: Login): Promise<Figures> {
  const engine = (await findEngine({ log: { line: say } })).path;
  const { host, port, user, password, database } = login;
  const product = await BenchStack.open({
    folder: mkdtempSync(join(folder, "product-")),
    engine,
    signal,
    program: (await import("../index")) as unknown as Program,
    project: { name: "guardian", plugin: "guardian-migration", path: join(root, "provider") },
    config: {
      "guardian:legacyConsent": { mode: "assumed", legalBasis: "legitimate_interests", statement: "Nobody is real." },
      "guardian:backup": { directory: join(folder, "backups") },
    },
    env: { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database },
  });
  say("first up of the product's stack");
  await product.up({ unchanged: false });
  const state = await product.resources();
  const floor = await BenchStack.open({
    folder: mkdtempSync(join(folder, "floor-")),
    engine,
    signal,
    program: sameGraph(state),
    project: { name: "floor", plugin: floorPackage, path: join(root, "bench", "floor") },
    config: {},
    env: {},
  });
  say("first up of the floor's");
  await floor.up({ unchanged: false });

  const [ups, floors]: [number[], number[]] = [[], []];
  const rounds = options["rounds"] ?? 5;
  for (let i = 1; i <= rounds; i++) {
    floors.push(await floor.up({ unchanged: true }));
    ups.push(await product.up({ unchanged: true }));
    say(`round ${i} of ${rounds}: up ${Math.round(ups.at(-1) ?? 0)} ms, floor ${Math.round(floors.at(-1) ?? 0)} ms`);
  }
  const [upMs, floorMs] = [median(ups), median(floors)];
  say(`${state.filter((one) => one.custom).length} custom resources, their providers included`);
  return { upMs: Math.round(upMs), floorMs: Math.round(floorMs), ratio: Number((upMs / floorMs).toFixed(3)) };
}
