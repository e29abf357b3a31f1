import { expect } from "chai";
import type { Client } from "pg";
import { readRemaining } from "../../../engine/module/archive/remaining";
import { remainingText } from "../../../resources/sentences";
import type { Applied } from "../../../engine/module/apply";
import type { Module } from "../../../engine/module/files/manifest";
import { moduleOf, withMigrator, type Engine } from "./harness";

/** Things whose note a later version bounds, what belongs to them, and in a module of its own what belongs to that. */
const versions = async (bound = ""): Promise<Module[]> => [
  await moduleOf("900_t", {
    yaml: `objects:\n  table: [public.t, public.u]\narchive:\n  - { table: public.u, subject: none }\n  - { table: public.t, subject: none }\n`,
    up: `CREATE TABLE public.t (id int PRIMARY KEY, note text ${bound});
      CREATE TABLE public.u (id int PRIMARY KEY, t int REFERENCES public.t ON DELETE CASCADE, of int REFERENCES public.u)`,
  }),
  await moduleOf("901_v", {
    yaml: `requires: [900_t]\nobjects:\n  table: [public.v]\narchive:\n  - { table: public.v, subject: none }\n`,
    up: "CREATE TABLE public.v (id int PRIMARY KEY, u int REFERENCES public.u ON DELETE CASCADE)",
  }),
];

/** Of three families the first and the last wait. @returns how the first and the second module are applied once more */
async function families(engine: Engine, client: Client): Promise<[Applying, Applying]> {
  for (const module of await versions()) await engine.apply(module);
  await client.query(`INSERT INTO public.t VALUES (1, 'far too long'), (2, 'short'), (3, 'too long too');
    INSERT INTO public.u VALUES (1, 1, NULL), (2, 2, NULL), (3, 3, NULL), (4, NULL, 1), (5, NULL, 4); INSERT INTO public.v VALUES (1, 1), (2, 2), (3, 3)`);
  await engine.undo("901_v");
  await engine.undo("900_t");
  const [first, second] = await versions("CONSTRAINT t_note_bound CHECK (octet_length(note) <= 10)");
  await engine.apply(first!);
  await engine.apply(second!);
  return [() => engine.apply(first!), () => engine.apply(second!)];
}

type Applying = () => Promise<Applied>;

const refusedNow = async (engine: Engine): Promise<string[]> => {
  const steps = await engine.steps();
  const found = await engine.host.read((reader) => readRemaining(reader, steps));
  return found.map(({ original, rows, changed }) => `${original} ${rows}${changed ? " tried" : ""}`).sort();
};

describe("archived rows that wait for others", function () {
  this.timeout(60_000);

  it("what waits for a refused row comes with it once that is mended, in another module too, and preview says so", () =>
    withMigrator(async (engine, client) => {
      const [first, second] = await families(engine, client);
      expect(await refusedNow(engine)).to.deep.equal(["public.t 2", "public.u 4", "public.v 2"]);
      await client.query("UPDATE guardian_archive.t__1 SET note = 'mended' WHERE id = 1");
      expect(await refusedNow(engine)).to.deep.equal(["public.t 2 tried", "public.u 4 tried", "public.v 2 tried"]);
      expect((await first()).restored).to.equal(4n);
      expect(await refusedNow(engine)).to.deep.equal(["public.t 1", "public.u 1", "public.v 2 tried"]);
      const last = await second();
      expect(last.restored).to.equal(1n);
      expect(await refusedNow(engine)).to.deep.equal(["public.t 1", "public.u 1", "public.v 1"]);
      expect(remainingText(last.refused[0]!)).to.contain("do not delete").and.not.to.contain("mend them there");
      // Nothing is left to do until somebody does something.
      for (const apply of [first, second]) expect((await apply()).restored).to.equal(0n);
    }));

  it("what waits for a refused row comes too once that is there by other means, and does not go with one that is given up", () =>
    withMigrator(async (engine, client) => {
      const [first, second] = await families(engine, client);
      await client.query("DELETE FROM guardian_archive.t__1 WHERE id = 3");
      // One of its table waits on and is tried, and so is what waits for that; the child of the other stays.
      expect(await refusedNow(engine)).to.deep.equal(["public.t 1 tried", "public.u 4 tried", "public.v 2 tried"]);
      expect((await first()).leftOut).to.equal(0n);
      expect(await refusedNow(engine)).to.deep.equal(["public.t 1", "public.u 4", "public.v 2"]);
      await client.query("INSERT INTO public.u VALUES (1, NULL)");
      expect(await refusedNow(engine)).to.deep.equal(["public.t 1", "public.u 4 tried", "public.v 2 tried"]);
      expect((await second()).restored).to.equal(1n);
      // Touched, it is treated as if what it refers to had been deleted under it.
      await client.query("UPDATE guardian_archive.u__1 SET t = t WHERE id = 3");
      expect((await first()).leftOut).to.equal(1n);
    }));
});
