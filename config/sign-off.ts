import { each, like, otherwise, record, ruled, standing, type Complaint } from "../spec";
import { signOffs, type SignOffItem } from "../spec/sign-offs";
import { isPlaceholder } from "./placeholder";

const items = Object.keys(signOffs) as SignOffItem[];

/** A day that there is. YAML has a type for days: of one that is written without quotes Pulumi makes a time, in Go's words. */
const day = (written: string): string => written.slice(0, 10);
const isDay = (written: string): boolean =>
  /^\d{4}-\d\d-\d\d( 00:00:00 \+0000 UTC)?$/.test(written) &&
  !Number.isNaN(Date.parse(day(written))) &&
  new Date(day(written)).toISOString().startsWith(day(written));

/** Characters of a name and of a note: both are shown in the diff, and stand in the evidence. */
const longest = 500;

const words = (expected: string, description: string) =>
  like(new RegExp(`^(?=.*\\p{L}{2})[^\\p{Cc}]{1,${longest}}$`, "u"), expected, description);

export const signOffKeys = {
  signOff: otherwise(
    {},
    each(
      items,
      ruled(
        record(
          {
            by: words(`one line with a name, of at most ${longest} characters`, "Who answers for it."),
            on: standing(
              { ...like(/./, "a day, such as 2026-11-30", "When it was found to be so."), fits: isDay },
              day,
            ),
            note: words(
              `one line in words, of at most ${longest} characters`,
              "What was tried or read, and where it is kept.",
            ),
          },
          "A sign-off.",
        ),
        ({ by, note }) =>
          Object.entries({ by, note }).flatMap(([key, text]): Complaint[] =>
            text !== undefined && isPlaceholder(text)
              ? [{ path: [key], text: "is a placeholder, and would be kept as evidence: say it in your own words" }]
              : [],
          ),
      ),
      `What only people can say, each with who says so: ${items.map((item) => `${item}: ${signOffs[item]}`).join("; ")}. What is missing is a warning of the last gate, and stops up where guardian:strict is true.`,
    ),
  ),
};
