/** Milliseconds after which a line is said once more: who looks at a display wants to see that it is alive. */
const againMs = 4000;

/**
 * Repeats the last line while nothing new is said.
 * @param say gets each line
 * @returns the function to say lines by, and one that ends the repeating
 */
export function repeated(say: (line: string) => void): { say: (line: string) => void; end: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const tell = (line: string): void => {
    clearInterval(timer);
    if (!ended) timer = setInterval(() => say(line), againMs);
    say(line);
  };
  const end = (): void => {
    ended = true;
    clearInterval(timer);
  };
  return { say: tell, end };
}
