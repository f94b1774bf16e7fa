/**
 * Measures several things in turn, round after round, each round beginning with another one: what else the machine does hits all
 * alike. A peer that fails is left out and told of; `blockwire` and `limit` may not fail.
 *
 * @template Sample
 * @param {Record<string, () => Promise<Sample>>} subjects
 * @param {number} runs
 * @param {(text: string) => void} tell
 * @returns {Promise<Record<string, Sample[]>>}
 */
export async function interleave(subjects, runs, tell) {
  const names = Object.keys(subjects)
  /** @type {Record<string, Sample[]>} */
  const samples = Object.fromEntries(names.map((name) => [name, []]))
  const lost = new Set()
  for (let round = 0; round < runs; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length]
      if (lost.has(name)) continue
      tell(`round ${round + 1} of ${runs}: ${name}`)
      try {
        samples[name].push(await subjects[name]())
      } catch (err) {
        if (name === 'blockwire' || name === 'limit') throw err
        lost.add(name)
        samples[name] = []
        tell(`${name} cannot be measured: ${err instanceof Error ? err.message : err}`)
      }
    }
  }
  return samples
}
