/** A plugin for tests of the protocol: its resources do what the input `does` says. */
import { changesBetween } from "../../../provider/diff";
import { PartlyDone, type Call, type Handler, type Plugin } from "../../../provider/types";
import type { Value, Values } from "../../../provider/wire";
import { integer, list, map, optional, record, secret, text, type Shape } from "../../../spec";

/** What configure made. */
interface Host {
  config: Values;
}

const pin = secret(optional(text("A secret.")));
const inputs: Shape = {
  does: text("What to do."),
  count: optional(integer("A number.")),
  tags: optional(list(text("A tag."), "Tags.")),
  place: optional(record({ street: text("A street."), house: optional(integer("A number.")) }, "A place.")),
  settings: optional(map(integer("A setting."), "Settings.")),
  pin,
};
const outputs: Shape = { made: text("What came of it."), key: secret(text("An output that is secret.")) };

const forever = (): Promise<never> => new Promise(() => undefined);

/** What a careless library throws. */
const noError = "a string" as unknown as Error;

/** What create does besides answering well; each is one way in which a provider may behave. */
const creates: Record<string, (call: Call<Host>, inputs: Values) => Promise<Values>> = {
  well: (call) => Promise.resolve({ made: told(call), key: "k-1" }),
  nothing: () => Promise.resolve({}),
  talk: (call) => {
    call.log.info("an info");
    call.log.warn("a warning");
    call.log.status("a status");
    console.log("stray output");
    return Promise.resolve({ made: "talked", key: "k-1" });
  },
  throw: () => Promise.reject(new Error("it went wrong")),
  "throw no error": () => Promise.reject(noError),
  partly: (call, given) =>
    Promise.reject(
      new PartlyDone("id-of-part", { ...given, made: "half", key: "k-1" }, given, [`${call.name} is half done`]),
    ),
  hang: (call) => {
    call.log.status("hangs");
    return new Promise((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason as Error)));
  },
  ignore: (call) => {
    call.log.status("hangs");
    return forever();
  },
  "stray throw": () => {
    setTimeout(() => {
      throw new Error("thrown where nobody waits");
    }, 20);
    return forever();
  },
  "stray rejection": () => {
    void Promise.reject(new Error("rejected where nobody waits"));
    return forever();
  },
  "answer, then throw": () => {
    setTimeout(() => {
      throw new Error("thrown after the answer");
    }, 20);
    return Promise.resolve({ made: "answered", key: "k-1" });
  },
  undefined: () => bad({ inner: [{ deep: undefined }] }),
  date: () => bad({ inner: [{ deep: new Date(0) }] }),
  nan: () => bad({ inner: [Number.NaN] }),
  bigint: () => bad({ inner: 1n }),
};

function bad(made: unknown): Promise<Values> {
  return Promise.resolve({ made: made as Value, key: "k-1" });
}

function told(call: Call<Host>): string {
  const { urn, name, preview, timeoutSeconds, host } = call;
  return JSON.stringify({ urn, name, preview, timeoutSeconds, config: host.config });
}

async function create(call: Call<Host>, given: Values): Promise<{ id: string; state: Values }> {
  const does = typeof given["does"] === "string" ? given["does"] : "well";
  const way = creates[does];
  if (!way) throw new Error(`the toy cannot ${does}`);
  return { id: "id-1", state: await way(call, given) };
}

const thing: Handler<Host> = {
  spec: {
    token: "toy:index:Thing",
    kind: "Thing",
    description: "A thing.",
    inputs,
    computed: { sum: optional(integer("Count and one.")) },
    outputs,
  },
  check(_call, news, olds) {
    const failures = news["count"] === 13 ? [{ property: "count", reason: "brings bad luck" }] : [];
    const sum = typeof news["count"] === "number" ? { sum: news["count"] + 1 } : {};
    const remembered = olds["does"] === "remember" ? { does: "remembered" } : {};
    return Promise.resolve({ inputs: { ...news, ...sum, ...remembered }, failures });
  },
  diff: (_call, it) => Promise.resolve(changesBetween(it.oldInputs, it.news)),
  create,
  update: async (call, it) => (await create(call, it.news)).state,
  read: (call, id, given, state) => {
    if (id === "gone") return Promise.resolve({ gone: true });
    if (id === "wrong") return Promise.reject(new Error("it cannot be read"));
    if (id === "partly") return Promise.reject(new PartlyDone(id, state, given, [`${call.name} is unfinished`]));
    return Promise.resolve({ gone: false, id, inputs: given, state: { ...state, made: "read anew" } });
  },
  delete: (_call, id) => (id === "stuck" ? Promise.reject(new Error("it cannot be deleted")) : Promise.resolve()),
};

export const toy: Plugin<Host> = {
  name: "toy",
  version: "1.2.3",
  description: "A toy.",
  config: { database: optional(record({ host: optional(text("A host.")) }, "A database.")), token: pin },
  resources: [thing],
  functions: [
    {
      spec: {
        token: "toy:index:double",
        description: "Doubles.",
        inputs: { n: integer("A number.") },
        outputs: { n: integer("Its double."), token: secret(text("A secret.")) },
      },
      invoke: (_call, args) => Promise.resolve({ n: Number(args["n"]) * 2, token: "t-1" }),
    },
  ],
  configure: (config) =>
    config["token"] === "wrong" ? Promise.reject(new Error("a wrong token")) : Promise.resolve({ config }),
  presentable: (err) => new Error(`made presentable: ${err instanceof Error ? err.message : String(err)}`),
  close: () => Promise.resolve(),
};
