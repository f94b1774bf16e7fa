import type { StatusEvents } from 'blockwire/status'
import { createNetwork, growChain, testRules, until } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'

type Refused = StatusEvents['refused']['detail']

/** Joins a node of other rules to a network and gathers what both sides say of it. */
async function meet(theirs: ReturnType<typeof testRules>, height = 0): Promise<Refused[][]> {
  await using network = await createNetwork({ rules: testRules({ network: 'ours' }), nodes: 1 })
  const [host] = network.nodes
  const guest = await network.join([], { rules: theirs })
  for (const { chain } of [host!, guest]) await growChain(chain, height)
  const heard: Refused[][] = [[], []]
  for (const [index, node] of [host!, guest].entries()) {
    node.status.addEventListener('refused', ({ detail }) => heard[index]!.push(detail))
  }
  await guest.libp2p.dial(host!.libp2p.getMultiaddrs())
  await until('a refusal on both sides', () => heard.every((list) => list.length > 0))
  await until('the connection to close', () => host!.libp2p.getConnections(guest.peerId).length === 0)
  expect(host!.status.peers.size + guest.status.peers.size).toBe(0)
  return heard
}

describe('two nodes of different chains', () => {
  const cases = [
    {
      name: 'network',
      rules: testRules({ network: 'theirs' }),
      code: 'network',
      field: 'network',
      values: ['ours', 'theirs']
    },
    {
      name: 'genesis by params',
      rules: testRules({ network: 'ours', params: { reward: 25 } }),
      code: 'genesis',
      field: 'params.reward',
      values: ['none', '25']
    }
  ]
  for (const { name, rules, code, field, values } of cases) {
    it(`say on both sides that the ${name} differs, with both values`, async () => {
      const [host, guest] = await meet(rules)
      expect(host![0]).toMatchObject({ code, field })
      expect(guest![0]).toMatchObject({ code, field })
      expect(host![0]!.ours).toBe(guest![0]!.theirs)
      expect(host![0]!.theirs).toBe(guest![0]!.ours)
      expect(host![0]!.ours).not.toBe(host![0]!.theirs)
      expect([host![0]!.ours, host![0]!.theirs]).toEqual(values)
    })
  }

  it('say on both sides that a fork differs which one of them has passed', async () => {
    const [host, guest] = await meet(testRules({ network: 'ours', forks: [2] }), 3)
    for (const heard of [host!, guest!]) expect(heard[0]).toMatchObject({ code: 'fork', field: 'fork' })
    expect(host![0]!.ours).toBe(guest![0]!.theirs)
    expect(host![0]!.theirs).toBe(guest![0]!.ours)
    expect(host![0]!.ours).not.toBe(host![0]!.theirs)
  })
})
