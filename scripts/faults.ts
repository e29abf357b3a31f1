/** `npm run faults`: kills the migration again and again; scripts/faults/arguments.ts says what it does. */
import { endWith, stopSignal, terminal } from "./command";
import { main } from "./faults/main";

endWith(main(process.argv.slice(2), { ...terminal, signal: stopSignal() }));
