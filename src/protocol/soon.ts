/**
 * True when `promise` settles within a few turns of the microtask queue, that is without waiting for the world outside. Writers
 * ask it whether more is at hand to fill a buffer with, or whether to send what they have. Eight turns are enough for a value
 * that a chain of two async generators has ready.
 */
export async function soon(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  for (let turn = 0; turn < 8 && !settled; turn++) await undefined
  return settled
}
