import { json, type Command, type Values } from "../command/description";

const options = {
  users: {
    least: 1,
    most: 100_000_000,
    default: 2000,
    about: "users of v6; a tenth as many documents, a fifth clinical rows; 2000 take a quarter of a minute",
  },
  keep: {
    about: "leave the server and the rolled-back stack there at the end, and say how to use and how to stop them",
  },
  json,
} as const;

export type DemoOptions = Values<typeof options>;

export const command = {
  name: "npm run demo",
  purpose: "the whole migration on a PostgreSQL of its own, there and back",
  about: `Starts a PostgreSQL, loads a Guardian v6 with made-up users, then: preview, up, up again, roll back the later stages,
destroy, compare, purge, by the real Pulumi engine. Everything is in a temporary folder that is gone at the end; your
Pulumi login, stacks and databases are not touched.`,
  options,
  exits: {
    "0": "all of it held",
    "1": "something did not, or failed",
    "128 + signal number": "when stopped (^C: 130)",
  },
} satisfies Command;
