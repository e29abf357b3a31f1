import { Bucket } from "./bucket";
import { recipientsOf } from "./keys";
import type { WantedStore } from "./wanted";

/**
 * Sees, without writing, that the store answers these credentials and that the recipients are some.
 * @throws GuardianError
 * @lazily
 */
export async function reach(wanted: WantedStore, signal?: AbortSignal): Promise<void> {
  recipientsOf(wanted);
  const bucket = new Bucket(wanted);
  try {
    await bucket.folders(signal);
  } finally {
    bucket.close();
  }
}
