import "../provider/quiet";
import { join } from "node:path";
import { serve } from "../provider/serve";
import { plugin } from "./registry";

// Relative paths of the configuration count from the project's folder, wherever the engine starts the plugin.
process.chdir(join(__dirname, ".."));
void serve(plugin);
