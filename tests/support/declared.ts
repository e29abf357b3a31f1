import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks";
import { setMockOptions } from "@pulumi/pulumi/runtime/settings";
import { createRequire } from "node:module";
import { join } from "node:path";

/** A resource as the program declared it: all of its inputs and options. */
export interface DeclaredResource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** Paths of inputs that are secret, where any is; their values stand in `inputs` in clear. */
  secrets?: string[];
  /** Names of outputs that are to be secret besides, where there are any. */
  secretOutputs?: string[];
  /** Only what was set. */
  options: {
    /** `type name` of the parent; absent: the stack. */
    parent?: string;
    /** `type name` of its provider's resource; absent: the default one. */
    provider?: string;
    protect?: boolean;
    retainOnDelete?: boolean;
    /** `type name` of each, sorted; those that follow from inputs included, as Pulumi sees them. */
    dependsOn?: string[];
    create?: string;
  };
}

/** A test's answers for what providers would compute. */
export interface Answers {
  /** Outputs besides the inputs. */
  outputs?: (resource: { type: string; name: string; inputs: Record<string, unknown> }) => Record<string, unknown>;
  /** What functions of providers return. */
  call?: (token: string, args: Record<string, unknown>) => Record<string, unknown>;
}

/** Everything that goes to Pulumi's engine passes here; mocks alone see no options. */
class Monitor extends MockMonitor {
  readonly requests: RegisterResourceRequest[] = [];
  override async registerResource(
    req: RegisterResourceRequest,
    callback: Parameters<MockMonitor["registerResource"]>[1],
  ) {
    this.requests.push(req);
    await super.registerResource(req, callback);
  }
}

const load = createRequire(__filename);

/** What the runtime believes of its engine; missing from its types. */
const store = (): { supportsSecrets: boolean } =>
  (load("@pulumi/pulumi/runtime/state") as { getStore: () => { supportsSecrets: boolean } }).getStore();

/** `type name` in a URN, or in a reference to a provider, `urn::id`. */
const short = (urn: string): string => urn.split("::").slice(2, 4).join(" ").replace(/^.*\$/, "");

/**
 * Runs a program on Pulumi's mocks, without an engine.
 * @param stack the stack's name
 * @returns what it declared, in that order, stacks aside; and what it returned
 */
export async function declared<T>(
  stack: string,
  { outputs, call }: Answers,
  program: () => T | Promise<T>,
  project = "guardian",
): Promise<{ resources: DeclaredResource[]; result: T }> {
  const seen: { type: string; name: string; inputs: Record<string, unknown> }[] = [];
  const monitor = new Monitor({
    newResource: (args) => {
      const inputs = args.inputs as Record<string, unknown>;
      const resource = { type: args.type, name: args.name, inputs };
      seen.push(resource);
      return { id: `${args.name}-id`, state: { ...inputs, ...outputs?.(resource) } };
    },
    call: ({ token, inputs }) => call?.(token, inputs as Record<string, unknown>) ?? {},
  });
  setMockOptions(monitor, project, stack);
  store().supportsSecrets = true;
  const result = await program();
  await pulumi.runtime.disconnect();
  const resources = monitor.requests.map((req, i): DeclaredResource => {
    const { type, name, inputs } = seen[i] ?? { type: "", name: "", inputs: {} };
    const secrets: string[] = [];
    const dependsOn = [...new Set(req.getDependenciesList().map(short))].sort();
    const create = req.getCustomtimeouts()?.getCreate();
    const secretOutputs = req.getAdditionalsecretoutputsList();
    const [protect, retainOnDelete] = [req.getProtect(), req.getRetainondelete()];
    return {
      type,
      name,
      inputs: plain(inputs, "", secrets) as Record<string, unknown>,
      ...(secrets.length > 0 ? { secrets } : {}),
      ...(secretOutputs.length > 0 ? { secretOutputs } : {}),
      options: {
        ...(req.getParent() ? { parent: short(req.getParent()) } : {}),
        ...(req.getProvider() ? { provider: short(req.getProvider()) } : {}),
        ...(req.hasProtect() && protect !== undefined ? { protect } : {}),
        ...(req.hasRetainondelete() && retainOnDelete !== undefined ? { retainOnDelete } : {}),
        ...(dependsOn.length > 0 ? { dependsOn } : {}),
        ...(create ? { create } : {}),
      },
    };
  });
  return { resources: resources.filter(({ type }) => type !== "pulumi:pulumi:Stack"), result };
}

/**
 * The same with the program of a project.
 * @param folder the project's, from the root
 * @param config `namespace:key` → value; objects are given as such
 * @param secrets the keys of it that are secret
 * @throws what the program throws
 */
export async function declaredIn(
  folder: string,
  given: { project: string; stack: string; config: Record<string, unknown>; secrets?: string[] },
  answers: Answers = {},
): Promise<{ resources: DeclaredResource[]; result: Record<string, unknown> }> {
  const { project, stack, config, secrets = [] } = given;
  const texts = Object.entries(config).map(([key, value]) => {
    return [key, typeof value === "string" ? value : JSON.stringify(value)] as const;
  });
  const program = load(join(__dirname, "..", "..", folder)) as () => Promise<Record<string, unknown>>;
  const configured = (): Promise<Record<string, unknown>> => {
    pulumi.runtime.setAllConfig(Object.fromEntries(texts), secrets);
    return program();
  };
  try {
    return await declared(stack, answers, configured, project);
  } finally {
    pulumi.runtime.setAllConfig({});
  }
}

/** Takes secrets out of their wrapping, and notes where they were. */
function plain(value: unknown, path: string, secrets: string[]): unknown {
  if (Array.isArray(value)) return value.map((item, i) => plain(item, `${path}[${i}]`, secrets));
  if (typeof value !== "object" || value === null) return value;
  const wrapped = value as Record<string, unknown>;
  if (wrapped[pulumi.runtime.specialSigKey] === pulumi.runtime.specialSecretSig) {
    secrets.push(path);
    return plain(wrapped["value"], path, secrets);
  }
  const inside = Object.entries(wrapped).map(([key, item]) => {
    return [key, plain(item, path ? `${path}.${key}` : key, secrets)] as const;
  });
  return Object.fromEntries(inside);
}
