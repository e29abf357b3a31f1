import { choice, map, otherwise } from "../spec";

export const operatorKeys = {
  operators: otherwise(
    {},
    map(
      choice(["accepted"], "The one word that accepts it."),
      "Members of guardian_operator that are meant, as foundation/ makes them, each with the word accepted: preview, up and the gates warn of every other one.",
    ),
  ),
};
