import { signOffCheck } from "./sign-off";

/** Guide 8. */
export const supportTrained = signOffCheck("support-trained", { tried: false });
