/**
 * Measures several things in turn, round after round, each round beginning with another one: what else the machine does hits all
 * alike. A peer that fails is left out and told of; `blockwire` and `limit` may not fail.
 *
 * `lost` holds why a peer cannot be measured: those that are in it from the start are not tried, and those that fail are added.
 *
 * @template Sample
 * @param {Record<string, () => Promise<Sample>>} subjects
 * @param {number} runs
 * @param {(text: string) => void} tell
 * @param {Map<string, string>} [lost]
 * @returns {Promise<Record<string, Sample[]>>}
 */
export async function interleave(subjects, runs, tell, lost = new Map()) {
  const names = Object.keys(subjects)
  /** @type {Record<string, Sample[]>} */
  const samples = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < runs; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length]
      if (lost.has(name)) continue
      tell(`round ${round + 1} of ${runs}: ${name}`)
      try {
        samples[name].push(await subjects[name]())
      } catch (err) {
        if (/^(blockwire|limit)\b/.test(name)) throw err
        const why = err instanceof Error ? err.message : String(err)
        lost.set(name, why)
        samples[name] = []
        tell(`${name} cannot be measured: ${why}`)
      }
    }
  }
  return samples
}
