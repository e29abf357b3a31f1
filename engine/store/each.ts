/**
 * Does the same for each, some at a time; the first failure ends those that are under way, and is thrown when they have.
 * @param stop aborted by the first failure
 */
export async function each<T>(
  items: readonly T[],
  atOnce: number,
  stop: AbortController,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  let failure: { err: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined && !failure; item = left.shift()) {
      try {
        await work(item);
      } catch (err) {
        failure ??= { err };
        stop.abort(err);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failure) throw failure.err;
}
