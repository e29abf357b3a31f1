import { join } from "node:path";

/** Where the product keeps its modules. */
export const sqlFolder = join(__dirname, "..", "..", "..", "sql");
