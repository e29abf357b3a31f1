import { expect } from "chai";
import type { Client } from "pg";
import { mapped } from "../../../engine/migrate/definition/source";
import type { Context } from "../../../engine/migrate/context";
import { plan } from "../../../engine/migrate/phases/plan";
import { rangeKeys } from "../../../engine/migrate/workers/sizes";
import { column } from "../module/harness";
import { withOnline, type Online } from "./harness";

const passKeys = 2 * rangeKeys;
const users = 2.5 * passKeys;
const ranges = "SELECT count(*)::int FROM guardian_migration.range";
const byPass = "SELECT sum(keys)::int FROM guardian_migration.range GROUP BY xmin::text ORDER BY min(place)";

function planned({ engine, migration }: Online, over: { signal?: AbortSignal } = {}): Promise<number> {
  return engine.write(
    "DataMigration",
    migration.name,
    async (fenced) => {
      const context = { fenced, it: await mapped(fenced.writer, migration), total: 0 } as Context;
      await plan(context, passKeys);
      return context.total;
    },
    over,
  );
}

/** Every key of the source is in the one range whose turn it is, and each range says truly how many it has. */
async function coversAll(admin: Client): Promise<void> {
  const { rows } = await admin.query<{ place: number; told: number; found: number; after: boolean }>(
    `SELECT r.place, r.keys AS told, (SELECT count(*)::int FROM auth.users WHERE id BETWEEN low AND high) AS found,
            low > coalesce(lag(high) OVER (ORDER BY place), '00000000-0000-0000-0000-000000000000') AS after
     FROM guardian_migration.range r, LATERAL (SELECT key_from[1]::uuid AS low, key_to[1]::uuid AS high) k ORDER BY place`,
  );
  const whole = (_none: unknown, i: number) => ({ place: i + 1, told: rangeKeys, found: rangeKeys, after: true });
  expect(rows).to.deep.equal(Array.from({ length: users / rangeKeys }, whole));
}

describe("planning in several passes", function () {
  this.timeout(120_000);

  it("covers every key once and in order, no more of them in a pass than it may read", () =>
    withOnline("consents", users, async (online) => {
      expect(await column(online.admin, "SELECT count(*)::int FROM auth.users")).to.deep.equal([users]);
      expect(await planned(online)).to.equal(users);
      await coversAll(online.admin);
      expect(await column(online.admin, byPass), "keys by transaction").to.deep.equal([
        passKeys,
        passKeys,
        passKeys / 2,
      ]);
      const said = online.engine.told.filter(({ phase }) => phase === "plan");
      const sums = [passKeys, 2 * passKeys].map((done) => ({ phase: "plan", subject: "consents", done }));
      expect(said).to.deep.equal(sums);
    }));

  it("goes on after an abort between two passes with what was planned", () =>
    withOnline("consents", users, async (online) => {
      const { admin, engine } = online;
      const stop = new AbortController();
      engine.onProgress = ({ phase }) => {
        if (phase === "plan") stop.abort(new Error("enough"));
      };
      const cut = await planned(online, { signal: stop.signal }).then(
        () => "planned",
        (err: unknown) => String(err),
      );
      expect(cut).to.match(/enough|cancelled on request/);
      const first = "SELECT array_agg(xmin::text ORDER BY place) FROM guardian_migration.range WHERE place <= 2";
      const before = await column(admin, first);
      expect(await column(admin, ranges), "one pass").to.deep.equal([2]);
      expect(await planned(online)).to.equal(users);
      await coversAll(admin);
      expect(await column(admin, first), "not planned again").to.deep.equal(before);
    }));

  it("plans no more where the last pass was exactly full, or all was planned before", () =>
    withOnline("consents", users, async (online) => {
      const { admin } = online;
      const surplus = `SELECT id FROM auth.users ORDER BY id DESC LIMIT ${users - 2 * passKeys}`;
      await admin.query(`DELETE FROM auth.users WHERE id IN (${surplus})`);
      expect(await planned(online)).to.equal(2 * passKeys);
      expect(await column(admin, byPass)).to.deep.equal([passKeys, passKeys]);
      expect(await planned(online)).to.equal(2 * passKeys);
      expect(await column(admin, ranges)).to.deep.equal([4]);
    }));
});
