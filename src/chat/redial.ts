import { type Clock, pause } from '../clock.js'

/** Between two attempts, in ms: doubled from one to the other, less up to half of it by chance. */
const FIRST_MS = 100
const MOST_MS = 5_000

/**
 * Tries until it works, at once and then with longer and longer pauses. Rejects when there is no sense in going on, with the
 * NotFoundError of the peer or when `signal` aborts.
 */
export async function redial<T>(
  dial: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
  random: () => number = Math.random
): Promise<T> {
  for (let ms = FIRST_MS; ; ms = Math.min(MOST_MS, 2 * ms)) {
    signal.throwIfAborted()
    try {
      return await dial(signal)
    } catch (err) {
      if ((err as Error).name === 'NotFoundError') throw err
    }
    await pause(clock, ms * (1 - random() / 2), signal)
  }
}
