import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./plugin";

/** A resource as the program declared it: all that the engine is told. */
export interface Declared {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** Paths of inputs that are secret; their values stand in `inputs` in clear. */
  secrets: string[];
  /** Names of the resources that it depends on, and of the one that it stands below. */
  dependsOn: string[];
  parent: string | undefined;
  /** Name of its provider's resource. */
  provider: string | undefined;
  protect: boolean;
  retainOnDelete: boolean;
}

/** A request to register a resource (pulumi, resource.proto). */
interface Request {
  getType(): string;
  getName(): string;
  getParent(): string;
  getProvider(): string;
  getProtect(): boolean;
  getRetainondelete(): boolean;
  getDependenciesList(): string[];
}

const nameOf = (urn: string): string => urn.split("::")[3] ?? "";

/**
 * Runs a program with mocks in this process.
 * @param folder the project's, from the root
 * @param config `namespace:key` → value; objects are given as such
 * @returns what it declared, in the order in which the engine was told, and its outputs
 * @throws what the program throws
 */
export async function declared(
  folder: string,
  { project, stack, config }: { project: string; stack: string; config: Record<string, unknown> },
): Promise<{ resources: Declared[]; outputs: Record<string, unknown> }> {
  const resources: Declared[] = [];
  const inputsOf = new Map<string, Record<string, unknown>>();
  const register = MockMonitor.prototype.registerResource;
  MockMonitor.prototype.registerResource = async function (this: MockMonitor, request: Request, callback) {
    await register.call(this, request, callback);
    const secrets: string[] = [];
    const inputs = plain(inputsOf.get(`${request.getType()} ${request.getName()}`), "", secrets);
    resources.push({
      type: request.getType(),
      name: request.getName(),
      inputs: inputs as Record<string, unknown>,
      secrets,
      dependsOn: request.getDependenciesList().map(nameOf),
      parent: nameOf(request.getParent()) || undefined,
      provider: nameOf(request.getProvider()) || undefined,
      protect: request.getProtect(),
      retainOnDelete: request.getRetainondelete(),
    });
  };
  try {
    await pulumi.runtime.setMocks(
      {
        call: () => ({ server: "PostgreSQL", items: [], told: [] }),
        newResource: ({ type, name, inputs }) => {
          inputsOf.set(`${type} ${name}`, inputs as Record<string, unknown>);
          return { id: `${name} id`, state: inputs as Record<string, unknown> };
        },
      },
      project,
      stack,
    );
    const texts = Object.entries(config).map(([key, value]) => {
      return [key, typeof value === "string" ? value : JSON.stringify(value)] as const;
    });
    pulumi.runtime.setAllConfig(Object.fromEntries(texts));
    const program = createRequire(__filename)(join(root, folder)) as () => Promise<Record<string, unknown>>;
    const outputs = await program();
    await pulumi.runtime.disconnect();
    return { resources, outputs };
  } finally {
    MockMonitor.prototype.registerResource = register;
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
