/** Milliseconds after which the same is said once more: who looks at a display wants to see that it is alive. */
const againMs = 4000;

/**
 * Repeats what was said last while nothing new is.
 * @returns the function to say it by, and one that ends the repeating
 */
export function repeated<T>(say: (it: T) => void): { say: (it: T) => void; end: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const tell = (it: T): void => {
    clearInterval(timer);
    if (!ended) timer = setInterval(() => say(it), againMs);
    say(it);
  };
  const end = (): void => {
    ended = true;
    clearInterval(timer);
  };
  return { say: tell, end };
}
