import { gates } from "../../engine/gates";
import { criteriaPart } from "./criteria";
import { table } from "./pages";

const titles: Readonly<Record<string, string>> = {
  before: "Before the migration",
  schema: "After the schema stage",
  data: "After the data stage",
  end: "At the end",
};

/** @returns docs/gates.md: every check that `npm run gates` asks */
export function gatesPage(): string {
  return [
    "<!-- Made by `npm run docs` from engine/gates. -->",
    "# Gates",
    "`npm run gates` asks these questions of a stack's database, at any time, and only reads. Each ends as passed, warned, failed, " +
      "could not run (which is not passed) or not applicable, with what was seen and what mends it; `--json` has the figures too. " +
      "Exit code 0: ready; 3: ready with warnings; 1: not ready.",
    "They are not in `up` yet: what stops an `up` is the assessment at its beginning, the proof of the backup, and what each " +
      "resource verifies.",
    ...Object.entries(gates).flatMap(([gate, checks]) =>
      checks.length === 0
        ? []
        : [
            `## ${titles[gate] ?? gate}`,
            table(
              ["Check", "It asks"],
              checks.map(({ name, asks }) => [`\`${name}\``, asks]),
            ),
          ],
    ),
    ...criteriaPart(),
  ].join("\n\n");
}
