import { expect } from "chai";
import type { V6 } from "../support/postgres";
import { long } from "../support/long";
import { withModules } from "../support/modules";
import { listed, modules } from "./every_module";
import { Meeting, type Group, type Outcome } from "./locking";
import { consentGroup } from "./locking_consents";
import { exchangeGroup, flagGroup } from "./locking_exchange";
import { addressGroup, enqueueGroup, messageGroup, runGroup } from "./locking_queues";
import { sessionGroup } from "./locking_sessions";

/** Functions whose text takes a lock and that need no pair, and why. */
const alone: Record<string, string> = {
  "public.advance_document_run(uuid, uuid)": "called by who holds the run",
  "public.expire_due_consents(uuid, uuid)": "a part of expire_patient_consents(uuid)",
  "public.get_user_preferences(uuid)": "ON CONFLICT DO NOTHING: whoever made the row, it is there",
  "public.hl7_conversion_patient()": "a trigger: the two statements that it sees are in the list",
  "public.hold_collaboration_session(uuid)": "the lock itself",
  "public.lock_collaboration_session(uuid)": "the lock itself",
  "public.lock_document_run(uuid)": "the lock itself",
  "public.lock_patient_consents(uuid)": "the lock itself",
  "public.notify_document_outcome()": "a trigger of who holds the run; ON CONFLICT DO NOTHING decides nothing",
  "public.pass_over_notifications(uuid[], text)": "a part of claim_notifications, of messages that it has locked",
  "public.record_performance_baseline()": "ON CONFLICT DO UPDATE with what was measured; nothing is decided",
  "public.write_fhir_mapping(text, uuid, integer)": "a part of refresh_fhir_mappings, which holds its lock",
};

/** What a function's text says when it takes a lock that others wait for. */
const locks =
  /\bFOR (NO KEY )?UPDATE\b|\bFOR (KEY )?SHARE\b|pg_advisory|\bUPDATE public\.|\bDELETE FROM\b|\bON CONFLICT\b|\bLOCK TABLE\b|\bALTER TABLE\b/i;

async function groupsOf(db: V6): Promise<Group[]> {
  const admin = await db.connect("admin");
  const one = async (text: string): Promise<string[]> =>
    (await admin.query<{ id: string }>(text)).rows.map((row) => row.id);
  const users = await one(
    "SELECT id FROM auth.users WHERE email_confirmed_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT 4",
  );
  const document = await one(
    "SELECT unnest(ARRAY[id, user_id]) AS id FROM (SELECT * FROM public.documents WHERE user_id IS NOT NULL ORDER BY id LIMIT 1) AS d",
  );
  return [
    sessionGroup(users),
    consentGroup(users),
    runGroup(document),
    enqueueGroup(document),
    addressGroup(users),
    messageGroup(users),
    flagGroup(users),
    exchangeGroup(users),
  ];
}

/** Pairs of a list, the same one twice included. */
const pairs = (names: readonly string[]): [string, string][] =>
  names.flatMap((a) => names.map((b) => [a, b] as [string, string]));

const told = ({ said, state }: Outcome): string => `${said.join(", ")}: ${state}`;

/** What two calls do one after the other; found out once. */
const known = new Map<string, Outcome>();
async function inTurn(meeting: Meeting, world: string, first: string, second: string): Promise<Outcome> {
  const key = [meeting.group.name, world, first, second].join("|");
  const found = known.get(key) ?? (await meeting.inTurn(world, first, second));
  known.set(key, found);
  return found;
}

/** What came of two calls that met is what comes of them in one order or, where that may be, the other. */
async function fault(meeting: Meeting, at: Outcome, of: [string, string, string], either: boolean): Promise<string[]> {
  const [world, first, second] = of;
  const straight = await inTurn(meeting, world, first, second);
  if (told(at) === told(straight)) return [];
  const { said, state } = await inTurn(meeting, world, second, first);
  if (either && told(at) === told({ said: [said[1]!, said[0]!], state })) return [];
  return [`${meeting.group.name}, ${world}; ${first}, then ${second}: ${told(at)}; it should be ${told(straight)}`];
}

describe("functions that lock and then act", function () {
  this.timeout(120_000);

  const withGroups = (test: (db: V6, groups: Group[]) => Promise<void>): Promise<void> =>
    withModules(modules, async (_client, db) => test(db, await groupsOf(db)));

  /** What is not as in turn, of every two calls of these groups, in both orders. */
  const faults = async (db: V6, groups: readonly Group[]): Promise<string[]> => {
    const wrong: string[] = [];
    for (const group of groups) {
      const meeting = await Meeting.open(db, group);
      for (const world of Object.keys(group.worlds)) {
        for (const [first, second] of pairs(meeting.calls(world))) {
          const at = await meeting.together(world, first, second);
          // Who waited for nobody may have come before who had not ended.
          wrong.push(...(await fault(meeting, at, [world, first, second], !at.waited)));
        }
      }
    }
    return wrong;
  };

  /** What a call that waited decides otherwise than one that comes after the change. */
  const late = async (db: V6, groups: readonly Group[]): Promise<string[]> => {
    const wrong: string[] = [];
    for (const group of groups) {
      const meeting = await Meeting.open(db, group);
      for (const world of Object.keys(group.worlds)) {
        for (const change of Object.keys(group.changes)) {
          for (const name of meeting.calls(world)) {
            const at = await meeting.whileWaiting(world, change, name);
            if (!at) continue;
            const after = told(await meeting.afterChange(world, change, name));
            if (told(at) === after) continue;
            wrong.push(`${group.name}, ${world}; ${name} waits, and ${change}: ${told(at)}; it should be ${after}`);
          }
        }
      }
    }
    return wrong;
  };

  const inTheFirstWorld = (group: Group): Group => ({
    ...group,
    worlds: Object.fromEntries(Object.entries(group.worlds).slice(0, 1)),
  });

  it("16-10 every two of those for consents, in both orders, do at once what they do one after the other", () =>
    withGroups(async (db, [, consents]) => {
      expect(await faults(db, [inTheFirstWorld(consents!)])).to.deep.equal([]);
    }));

  long("16-10 every two of them, in both orders, do at once what they do one after the other", () =>
    withGroups(async (db, groups) => {
      expect(await faults(db, groups)).to.deep.equal([]);
    }),
  );

  it("16-10 what changes while one waits for its lock is seen by its decision", () =>
    withGroups(async (db, groups) => {
      expect(await late(db, groups.map(inTheFirstWorld))).to.deep.equal([]);
    }));

  long("16-10 what changes while one waits for its lock is seen by its decision, in every world", () =>
    withGroups(async (db, groups) => {
      expect(await late(db, groups)).to.deep.equal([]);
    }),
  );

  it("16-10 a caller of level REPEATABLE READ decides by what is true, or is refused", async () => {
    await withGroups(async (db, groups) => {
      const wrong: string[] = [];
      for (const group of groups) {
        const meeting = await Meeting.open(db, group);
        const [world] = Object.keys(group.worlds) as [string];
        const refusing = new Set<string>();
        for (const [first, second] of pairs(meeting.calls(world))) {
          if (refusing.has(second)) continue;
          const at = await meeting.afterSnapshot(world, first, second);
          // require_read_committed() refuses whatever was done before.
          if (at.said[1] === "error 25000") refusing.add(second);
          else if (at.said[1] !== "error 40001")
            wrong.push(...(await fault(meeting, at, [world, first, second], true)));
        }
      }
      expect(wrong).to.deep.equal([]);
    });
  });

  it("16-10 every function of the modules that takes a lock is in the list, or has a reason", async () => {
    await withGroups(async (db, groups) => {
      const admin = await db.connect("admin");
      const { rows } = await admin.query<{ name: string; text: string }>(
        `SELECT f.name, regexp_replace(p.prosrc, '--[^\\n]*', '', 'g') AS text FROM unnest($1::text[]) AS f (name)
         JOIN pg_proc AS p ON p.oid = f.name::regprocedure`,
        [listed("function")],
      );
      const callers = (names: Set<string>): string[] =>
        rows.flatMap(({ name, text }) =>
          [...names].some((locker) => text.includes(`${locker.replace(/\(.*/, "")}(`)) ? [name] : [],
        );
      const lockers = new Set(rows.flatMap(({ name, text }) => (locks.test(text) ? [name] : [])));
      for (let n = -1; n !== lockers.size;) {
        n = lockers.size;
        for (const name of callers(lockers)) lockers.add(name);
      }
      const tried = new Set(groups.flatMap((group) => Object.values(group.calls).map((call) => call.of)));
      expect([...lockers].filter((name) => !tried.has(name)).sort()).to.deep.equal(Object.keys(alone).sort());
      expect(
        [...tried].filter((name) => name !== "-" && !lockers.has(name)),
        "they lock",
      ).to.deep.equal([]);
    });
  });
});
