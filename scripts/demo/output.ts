import { table } from "./table";

/** Where the demo speaks: standard output, or standard error if that is kept for one JSON object. */
export class Output {
  readonly stream: NodeJS.WriteStream;
  #number = 0;

  constructor(json: boolean) {
    this.stream = json ? process.stderr : process.stdout;
  }

  /** A line for people. Arrow function, to be handed around. */
  readonly say = (line: string): void => {
    this.stream.write(`${line}\n`);
  };

  /** Begins a numbered part of the story. */
  heading(text: string): void {
    const bold = this.stream.isTTY && process.env["NO_COLOR"] === undefined;
    const line = `━━ ${++this.#number}  ${text} `.padEnd(100, "━");
    this.say(bold ? `\n\u001b[1m${line}\u001b[0m` : `\n${line}`);
  }

  table(title: string, rows: readonly object[]): void {
    this.say(`\n${title}`);
    table(rows).forEach(this.say);
    this.say("");
  }
}
