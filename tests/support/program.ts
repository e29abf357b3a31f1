// A process of its own: runs the stack's program with mocks and prints, as JSON, which of the project's and of the
// packages' files it loaded, and how many resources it declared.
import * as pulumi from "@pulumi/pulumi";
import { createRequire } from "node:module";
import { join, relative, sep } from "node:path";

const root = join(__dirname, "..", "..");
const load = createRequire(__filename);

async function main(): Promise<void> {
  const declared: string[] = [];
  const statement = { mode: "assumed", legalBasis: "consent", statement: "a test" };
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        declared.push(type);
        return { id: name, state: inputs as Record<string, unknown> };
      },
      call: () => ({ server: "PostgreSQL", items: [] }),
    },
    "guardian",
    "dev",
  );
  pulumi.runtime.setAllConfig({ "guardian:legacyConsent": JSON.stringify(statement) });
  const program = load(root) as () => Promise<unknown>;
  await program();
  await pulumi.runtime.disconnect();
  const files = Object.keys(load.cache).map((file) => relative(root, file).split(sep).join("/"));
  process.stdout.write(JSON.stringify({ files, declared }));
}

void main();
