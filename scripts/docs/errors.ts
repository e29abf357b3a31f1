import { errorCodes } from "../../spec/codes";
import { code, table } from "./pages";

/** @returns docs/errors.md: every code that an error may bear */
export function errorsPage(): string {
  return [
    "<!-- Made by `npm run docs` from spec/codes.ts. -->",
    "# Errors",
    "Every error says what happened, where, and what to do. The code in brackets at the end of its first line stays the same from " +
      "release to release, whatever the words are: match on it, and look it up here.",
    ...Object.entries(errorCodes).flatMap(([area, codes]) => [
      `## ${area}`,
      table(
        ["Code", "What it means", "What to do"],
        Object.entries(codes).map(([name, [means, todo]]) => [code(name), means, todo]),
      ),
    ]),
  ].join("\n\n");
}
