/** The toy as a process of its own. */
import "../../../provider/quiet";
import { serve } from "../../../provider/serve";
import { toy } from "./plugin";

// Noise before the port, as a library might make it.
console.log("a greeting");
void serve(toy);
