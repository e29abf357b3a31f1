/** The plugin that does nothing: every call is answered at once. What an `up` with it takes is the engine's floor. */
import { serve } from "../../provider/serve";
import type { Handler } from "../../provider/types";
import { floorPackage, stepToken } from "./names";

const step: Handler<null> = {
  spec: { token: stepToken, kind: "Step", description: "Nothing.", inputs: {}, computed: {}, outputs: {} },
  check: (_call, news) => Promise.resolve({ inputs: news, failures: [] }),
  diff: () => Promise.resolve(new Map()),
  create: (call) => Promise.resolve({ id: call.name, state: {} }),
  update: () => Promise.resolve({}),
  read: (_call, id, inputs, state) => Promise.resolve({ gone: false, id, inputs, state }),
  delete: () => Promise.resolve(),
};

void serve<null>({
  name: floorPackage,
  version: "0.1.0",
  description: "Resources that do nothing.",
  config: {},
  resources: [step],
  functions: [],
  configure: () => Promise.resolve(null),
  close: () => Promise.resolve(),
});
