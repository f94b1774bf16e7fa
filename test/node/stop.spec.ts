import { createNode } from 'blockwire'
import { createNetwork, testRules } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { testSeal } from '../helpers/seal.js'

/** What keeps this process alive, apart from what the test runner itself holds. */
const handles = (): string[] => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout|FSReq/.test(name))

/** Repeatable randomness: the moments differ, a failure can be repeated. */
function* moments(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    yield state % 400
  }
}

describe('stop()', () => {
  it('resolves within 5 s at any moment of a busy network', async () => {
    const moment = moments(20_261_121)
    for (let round = 0; round < 8; round++) {
      const network = await createNetwork({
        rules: testRules({ network: 'stop' }),
        nodes: 3,
        node: (index) => ({ produce: testSeal({ nonce: index }) })
      })
      // the moment is the thing under test, so here a timer is right
      await new Promise((resolve) => setTimeout(resolve, moment.next().value))
      const begun = Date.now()
      await network.stop()
      expect(Date.now() - begun).toBeLessThan(5_000)
      for (const node of network.nodes) expect(node.libp2p.status).toBe('stopped')
    }
  })

  it('leaves no socket and no timer', async () => {
    const before = handles().length
    const rules = testRules({ network: 'handles' })
    const first = await createNode({ rules, produce: testSeal({ nonce: 1 }) })
    const second = await createNode({ rules, seeds: first.multiaddrs })
    await second.chain.waitFor(3)
    await Promise.all([first.stop(), second.stop()])
    await expect
      .poll(() => handles().length, { timeout: 10_000, message: handles().join() })
      .toBeLessThanOrEqual(before)
  })

  it('may be called twice, and by `await using`', async () => {
    await using node = await createNode({ rules: testRules({ network: 'twice' }) })
    await Promise.all([node.stop(), node.stop()])
    expect(node.libp2p.status).toBe('stopped')
  })
})
