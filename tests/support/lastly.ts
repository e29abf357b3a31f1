/** @returns what the work came to, once what it needed has been ended, whatever it came to */
export async function lastly<T>(work: Promise<T>, end: () => Promise<unknown>): Promise<T> {
  try {
    return await work;
  } finally {
    await end();
  }
}
