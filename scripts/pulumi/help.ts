import { oldest, pinned } from "./versions";

/** What the wrapper adds to the CLI; shown before the CLI's own help. */
export const help = `npm run pulumi -- ARGS runs the real pulumi CLI with ARGS in this project, with its own live output and exit
code. What it adds:

  the engine   pulumi ${oldest} or newer on PATH, else ${pinned} from the cache ($XDG_CACHE_HOME/guardian or ~/.cache/guardian),
               else the official download, else built once from the sources that scripts/pulumi-cli/go.mod pins (needs Go).
  the program  preview, up, refresh and destroy work without Pulumi's Node language host: index.ts is then served by this
               process. destroy and refresh run the program too (--run-program).
  the state    with a Pulumi login of yours (PULUMI_BACKEND_URL, PULUMI_ACCESS_TOKEN or \`pulumi login\`) it is used
               untouched. Without one, state and a generated passphrase live in the ignored folder .guardian, and the
               stack dev is made where no other ever was; else the one that is selected is meant.

First steps:  npm run db -- start             a v6 database to try it on
              npm run pulumi -- preview --diff
              npm run pulumi -- up
              npm run pulumi -- destroy
After kill -9 or a power loss the stack may still be locked: npm run pulumi -- cancel
What Pulumi left half written in its state folder then is mended (.guardian, or PULUMI_BACKEND_URL=file://…).
`;
