// A process of its own: runs the stack's program with mocks and prints, as JSON, which of the project's and of the
// packages' files it loaded, which resources it declared, and which of them are enabled; then which files with guardian:aws.
import * as pulumi from "@pulumi/pulumi";
import { createRequire } from "node:module";
import { join, relative, sep } from "node:path";

const root = join(__dirname, "..", "..");
const load = createRequire(__filename);

/** Runs it. @returns which files are loaded then */
async function loadedBy(aws: string, declared: string[] = [], enabled: string[] = []): Promise<string[]> {
  const statement = { mode: "assumed", legalBasis: "consent", statement: "a test" };
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        const state = inputs as Record<string, unknown>;
        declared.push(type);
        if (state["enabled"] === true) enabled.push(name);
        return { id: name, state };
      },
      call: () => ({ server: "PostgreSQL", items: [], told: [] }),
    },
    "guardian",
    "dev",
  );
  const listed = ["11111111-2222-4333-8444-555555555555"];
  pulumi.runtime.setAllConfig({
    "guardian:legacyConsent": JSON.stringify(statement),
    // The second has the name of what every object has by nature.
    "guardian:flags": JSON.stringify({
      telehealth: { description: "Visits by video", module: "004_enhanced_consent" },
      constructor: { description: "A flag that nobody rolls out" },
    }),
    "guardian:rollout": JSON.stringify({ event_sourcing: 1, document_queue_v2: 0, telehealth: 5 }),
    "guardian:allowList": JSON.stringify({ multi_tenancy: listed }),
    "guardian:aws": aws,
  });
  const program = load(root) as () => Promise<unknown>;
  await program();
  await pulumi.runtime.disconnect();
  return Object.keys(load.cache).map((file) => relative(root, file).split(sep).join("/"));
}

async function main(): Promise<void> {
  const [declared, enabled]: [string[], string[]] = [[], []];
  const files = await loadedBy("", declared, enabled);
  const withAws = await loadedBy(JSON.stringify({ instance: "guardian-db" }));
  process.stdout.write(JSON.stringify({ files, withAws, declared, enabled }));
}

void main();
