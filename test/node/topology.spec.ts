import { toHex } from 'blockwire/chain'
import {
  createNetwork,
  growChain,
  HandClock,
  type Network,
  oneHead,
  type TestHeader,
  type TestTx,
  testRules,
  until
} from 'blockwire/testing'
import { describe, expect, it } from 'vitest'

type TestNetwork = Network<TestHeader, TestTx>
type TestNode = TestNetwork['nodes'][number]

const setTx = (key: string): TestTx => ({ kind: 'set', key, value: 'x', salt: 0 })
const headOf = ({ chain }: TestNode): string => toHex(chain.head.hash)
const isOne = (nodes: TestNode[]): boolean => new Set(nodes.map(headOf)).size === 1

/** Somebody dials, or a connection is not yet one between peers. */
function isBusy({ libp2p, status }: TestNode): boolean {
  return (
    libp2p.getDialQueue().length > 0 || libp2p.getConnections().some(({ remotePeer }) => status.get(remotePeer) == null)
  )
}

/**
 * Turns the clock until the condition holds; at most `ms` of its time, and ever so slowly while the network is at something: on a loaded
 * machine the deadlines of handshakes would pass before the handshakes.
 */
async function turnUntil({ nodes }: TestNetwork, clock: HandClock, what: string, condition: () => boolean, ms: number) {
  const end = clock.now() + ms
  let polls = 0
  const step = (): boolean => {
    if (clock.now() < end && (++polls % 10 === 0 || !nodes.some(isBusy))) clock.turn(100)
    return condition()
  }
  // when the clock's time is over, nothing but what is under way may still bring it
  await until(`${what} within ${ms} ms of the clock`, step, 40_000)
}

describe('a star', () => {
  it('learns of what any of its rays has, and a late one of what there is, without a new block', async () => {
    const clock = new HandClock()
    await using network = await createNetwork({ rules: testRules({ network: 'star' }), shape: 'star', nodes: 4, clock })
    const [hub, ray] = network.nodes
    // the hub introduces them to each other: test/sync/topology.spec.ts has a star that stays one
    await turnUntil(network, clock, 'the rays at the hub', () => hub!.status.peers.size === 3, 10_000)
    await growChain(ray!.chain, 10)
    await turnUntil(
      network,
      clock,
      'the head of the ray',
      () => hub!.chain.head.height === 10 && isOne(network.nodes),
      5_000
    )
    const late = await network.join([hub!])
    await turnUntil(network, clock, 'the head at the late one', () => late.chain.head.height === 10, 5_000)
    await until('live', () => late.sync.state === 'live')
  })
})

describe('a network of two', () => {
  it('is live at both ends, follows, and is so again when one was away', async () => {
    const clock = new HandClock()
    await using network = await createNetwork({ rules: testRules({ network: 'two' }), nodes: 2, clock })
    const [a, b] = network.nodes as [TestNode, TestNode]
    const live = () => network.nodes.every(({ sync }) => sync.state === 'live')
    await turnUntil(network, clock, 'both live', live, 10_000)
    await growChain(a.chain, 3)
    await turnUntil(network, clock, 'one head', () => isOne(network.nodes), 5_000)
    network.partition([a], [b])
    await until('nobody', () => network.nodes.every(({ sync }) => sync.state === 'no-peers'))
    await growChain(a.chain, 3)
    network.heal()
    await turnUntil(network, clock, 'one head again', () => isOne(network.nodes) && live(), 15_000)
    expect(b.chain.head.height).toBe(6)
  })
})

describe('a network of ten that falls apart into two of five', () => {
  const BLOCKS = { winner: 100, loser: 80 }

  it('has one head within 30 s when it is whole again, and the transactions of the loser are pending again', async () => {
    const clock = new HandClock()
    await using network = await createNetwork({
      rules: testRules({ network: 'parts' }),
      shape: 'none',
      nodes: 0,
      clock
    })
    for (let i = 0; i < 10; i++) await network.join(network.nodes.slice())
    const winners = network.nodes.filter((_, i) => i % 2 === 0)
    const losers = network.nodes.filter((_, i) => i % 2 === 1)
    const isMet = (nodes: TestNode[]): boolean => nodes.every(({ status }) => status.peers.size >= 4)
    await turnUntil(network, clock, 'everybody among the others', () => isMet(network.nodes), 20_000)

    network.partition(winners, losers)
    const apart = (): boolean => {
      const peers = new Set(losers.map(({ peerId }) => peerId.toString()))
      return winners.every(({ status }) => ![...status.peers.keys()].some((peer) => peers.has(peer)))
    }
    await until('the parts to be apart', apart)
    // so long that whoever looks for those of the other part does so ever less often
    const since = clock.now()
    await until('two minutes of the clock', () => {
      clock.turn(1_000)
      return clock.now() - since >= 120_000
    })
    await growChain(winners[0]!.chain, BLOCKS.winner, { nonce: 1 })
    for (let i = 0; i < BLOCKS.loser; i++)
      await growChain(losers[0]!.chain, 1, { nonce: 2, txs: [setTx(`loser ${i}`)] })
    await turnUntil(network, clock, 'one head in each part', () => isOne(winners) && isOne(losers), 5_000)
    expect([winners[0]!.chain.head.height, losers[0]!.chain.head.height]).toEqual([100, 80])
    expect(apart()).toBe(true)

    network.heal()
    await turnUntil(network, clock, 'one head', () => isOne(network.nodes), 30_000)
    expect((await oneHead(network.nodes, 100)).header.nonce).toBe(1)
    const pending = (): number[] => losers.map(({ pool }) => pool.size)
    try {
      await until('all of it', () => pending().every((size) => size === BLOCKS.loser))
    } catch {
      expect(pending()).toEqual(losers.map(() => BLOCKS.loser))
    }
    const bans = network.nodes.flatMap(({ peers }) => peers.bans())
    expect(bans).toEqual([])
  }, 120_000)
})
