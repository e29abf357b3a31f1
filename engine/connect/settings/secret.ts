import { inspect } from "node:util";

/**
 * A value that does not end up in a log by accident: JSON, string conversion and Node's inspect show a placeholder, and
 * the value itself is a private field, which neither Object.keys nor a structured clone reaches.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value. Call it where it is handed to pg or a child's environment, and nowhere else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}
