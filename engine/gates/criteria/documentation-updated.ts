import { signOffCheck } from "./sign-off";

/** Guide 8. */
export const documentationUpdated = signOffCheck("documentation-updated", { tried: false });
