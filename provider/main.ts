import "./quiet";
import { join } from "node:path";
import { plugin } from "../resources/registry";
import { serve } from "./serve";

// Relative paths of the configuration count from the project's folder, wherever the engine starts the plugin.
process.chdir(join(__dirname, ".."));
void serve(plugin);
