/** Pseudorandom in [0, 1): the same row in every run. A linear congruential generator (Numerical Recipes). */
export function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
