import { setTimeout as pause } from 'node:timers/promises'

/** How often is looked. */
const LOOK_MS = 5

/**
 * Waits until nothing is missing.
 *
 * @param {() => string} missing What is missing, in words; empty when it is there.
 * @param {number} ms Then it rejects and says what was missing.
 */
export async function complete(missing, ms) {
  const deadline = performance.now() + ms
  for (let what = missing(); what !== ''; what = missing()) {
    if (performance.now() > deadline) throw new Error(`after ${ms} ms: ${what}`)
    await pause(LOOK_MS)
  }
}
