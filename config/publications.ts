import { choice, map, otherwise } from "../spec";

export const publicationKeys = {
  publications: otherwise(
    {},
    map(
      choice(["accepted"], "The one word that accepts it."),
      "Publications FOR ALL TABLES or FOR TABLES IN SCHEMA that the tables of the migration may join, each with the word accepted; up refuses every other one. A name that is no publication of the database is an error.",
    ),
  ),
};
