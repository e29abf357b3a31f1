/** Where the scripts speak to: whole lines, and on a terminal one line that is written over. */
export interface Log {
  line(text: string): void;
  /** Absent where there is no terminal. An empty text takes the line away. */
  status?: (text: string) => void;
}

/** Speaks on stderr, so that stdout carries only what the engine says (`npm run pulumi -- stack output --json`). */
export function stderrLog(stream: NodeJS.WriteStream = process.stderr): Log {
  const line = (text: string): void => {
    stream.write(`${text}\n`);
  };
  if (!stream.isTTY) return { line };
  return { line, status: (text) => stream.write(`\r\u001b[K${text.slice(0, Math.max(20, stream.columns - 1))}`) };
}

/**
 * Says that something long is still going on: each second on a terminal, else a line at once and then every interval
 * (default 15 s).
 * @param text gets the seconds since the start
 * @returns the function that ends it
 */
export function progress(
  log: Log,
  text: (seconds: number) => string,
  intervalMs: number | undefined = 15_000,
): () => void {
  const start = Date.now();
  const say = (): void => (log.status ?? log.line)(text(Math.round((Date.now() - start) / 1000)));
  say();
  const timer = setInterval(say, log.status ? 1000 : intervalMs);
  return () => {
    clearInterval(timer);
    log.status?.("");
  };
}
