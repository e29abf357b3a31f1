import { signOffCheck } from "./sign-off";

/** Guide 8, the last of the rollback criteria. */
export const userExperience = signOffCheck("user-experience", { tried: true });
