import type { Command, Option, Options, Word } from "./description";

/** Columns of a word in --help. */
const wide = 10;

/** The text of --help. @param only the word that it is asked for; absent: all of them */
export function help(command: Command, only?: string): string {
  const { name, purpose, about, words, options, notes, exits } = command;
  const asked = Object.entries(words?.each ?? {}).filter(([word]) => only === undefined || word === only);
  const typed = words ? `-- ${words.placeholder} [options]` : "[-- options]";
  const codes = Object.entries({ "2": "wrong use", ...exits }).sort(([a], [b]) => parseInt(a) - parseInt(b));
  const parts = [
    `${name} ${typed}: ${purpose}`,
    about,
    words && wordLines(asked),
    optionLines({ ...options, help: { about: "print this", short: "h" } }, 2),
    notes,
    `Exit codes: ${codes.map((code) => code.join(" ")).join("; ")}.`,
  ];
  return parts.filter((part) => part !== undefined).join("\n\n");
}

/** Options that several words share stand below the first of them. */
function wordLines(words: [string, Word][]): string {
  const shown = new Set<unknown>();
  const lines = words.flatMap(([word, { about, options, argument }]) => {
    const name = argument === undefined ? word : `${word} ${argument}`;
    const text = `  ${name.padEnd(wide)} ${indented(about, wide + 3)}`;
    if (!options || shown.has(options)) return [text];
    shown.add(options);
    return [text, optionLines(options, wide + 5)];
  });
  return lines.join("\n");
}

function optionLines(options: Options, indent: number): string {
  const rows = Object.entries(options).map(([name, option]) => ({ label: label(name, option), text: textOf(option) }));
  const column = Math.max(...rows.map((row) => row.label.length));
  const line = (row: { label: string; text: string }): string =>
    `${" ".repeat(indent)}${row.label.padEnd(column)}  ${indented(row.text, indent + column + 2)}`;
  return rows.map(line).join("\n");
}

function label(name: string, option: Option): string {
  const short = option.short === undefined ? "" : `-${option.short}, `;
  const value = "value" in option ? ` ${option.value}` : "least" in option ? " N" : "";
  return `${short}--${name}${value}`;
}

function textOf(option: Option): string {
  const usual = "default" in option ? option.default : undefined;
  return usual === undefined ? option.about : `${option.about} (default ${usual})`;
}

function indented(text: string, by: number): string {
  return text.replaceAll("\n", `\n${" ".repeat(by)}`);
}
