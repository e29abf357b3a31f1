import { signOffCheck } from "./sign-off";

/** Guide 6.3, "User Acceptance", and 8. */
export const userAcceptance = signOffCheck("user-acceptance", { tried: true });
