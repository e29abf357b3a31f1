import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks";
import { setMockOptions } from "@pulumi/pulumi/runtime/settings";

/** A resource as the program declared it: all of its inputs and options. */
export interface DeclaredResource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** Only what was set. */
  options: {
    /** `type name` of the parent; absent: the stack. */
    parent?: string;
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

/**
 * Runs a program on Pulumi's mocks, without an engine.
 * @param stack the stack's name
 * @returns what it declared, in that order, stacks aside; and what it returned
 */
export async function declared<T>(
  stack: string,
  { outputs, call }: Answers,
  program: () => T | Promise<T>,
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
  setMockOptions(monitor, "guardian", stack);
  const result = await program();
  await pulumi.runtime.disconnect();
  const short = (urn: string): string => urn.split("::").slice(-2).join(" ").replace(/^.*\$/, "");
  const resources = monitor.requests.map((req, i): DeclaredResource => {
    const { type, name, inputs } = seen[i] ?? { type: "", name: "", inputs: {} };
    const dependsOn = [...new Set(req.getDependenciesList().map(short))].sort();
    const create = req.getCustomtimeouts()?.getCreate();
    const [protect, retainOnDelete] = [req.getProtect(), req.getRetainondelete()];
    return {
      type,
      name,
      inputs,
      options: {
        ...(req.getParent() ? { parent: short(req.getParent()) } : {}),
        ...(req.hasProtect() && protect !== undefined ? { protect } : {}),
        ...(req.hasRetainondelete() && retainOnDelete !== undefined ? { retainOnDelete } : {}),
        ...(dependsOn.length > 0 ? { dependsOn } : {}),
        ...(create ? { create } : {}),
      },
    };
  });
  return { resources: resources.filter(({ type }) => type !== "pulumi:pulumi:Stack"), result };
}
