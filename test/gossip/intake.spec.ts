import type { PeerId } from '@libp2p/interface'
import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { Intake } from '../../dist/src/gossip/intake.js'
import type { RawGossipsub, RawRpc } from '../../dist/src/gossip/raw.js'

/** A gossipsub that takes a while with each message, and goes on to a peer's next RPC when it has done with one. */
function setup(workMs = 1) {
  const handled: string[] = []
  const calls: string[] = []
  const streams = new Map<
    string,
    { rawStream: { status: string; maxReadBufferLength: number; pause(): void; resume(): void } }
  >()
  const inner = {
    streamsInbound: streams,
    async handleReceivedRpc(peer: PeerId, rpc: RawRpc): Promise<void> {
      const until = performance.now() + workMs
      while (performance.now() < until);
      for (const { topic } of rpc.messages) handled.push(`${peer} ${topic}`)
    }
  } as unknown as RawGossipsub
  const clock = new HandClock()
  const intake = new Intake(inner, (topic) => topic === 'blocks', clock)
  /** A peer that sends these, one after another. */
  const peer = async (id: string, topics: string[]): Promise<void> => {
    streams.set(id, {
      rawStream: {
        status: 'open',
        maxReadBufferLength: 1,
        pause: () => void calls.push(`pause ${id}`),
        resume: () => void calls.push(`resume ${id}`)
      }
    })
    for (const topic of topics) {
      await inner.handleReceivedRpc(id as unknown as PeerId, { subscriptions: [], messages: [{ topic }] })
    }
  }
  return { intake, handled, calls, clock, peer, streams }
}

const many = (topic: string, count: number): string[] => Array.from({ length: count }, () => topic)

describe('the intake of gossip', () => {
  it('lets the event loop go round while a peer floods', async () => {
    const { peer, handled } = setup()
    let turns = 0
    let most = 0
    let last = 0
    let flooding = true
    const look = (): void => {
      turns++
      most = Math.max(most, handled.length - last)
      last = handled.length
      if (flooding) setImmediate(look)
    }
    setImmediate(look)
    await peer('flood', many('txs', 200))
    flooding = false
    expect(handled).toHaveLength(200)
    // 5 ms a slice, of at least a millisecond each
    expect(turns).toBeGreaterThan(20)
    expect(most).toBeLessThanOrEqual(10)
  })

  it('takes each peer in turn, and what is urgent first', async () => {
    const { peer, handled } = setup()
    const flood = peer('flood', many('txs', 60))
    const honest = peer('honest', many('txs', 5))
    const miner = peer('miner', many('blocks', 3))
    await honest
    await miner
    const at = (what: string): number => handled.lastIndexOf(what)
    expect(at('miner blocks')).toBeLessThan(at('honest txs'))
    // no more than one of the flood's before each of the others', beside the first slice
    expect(handled.slice(0, at('honest txs')).filter((each) => each === 'flood txs').length).toBeLessThan(20)
    await flood
    expect(handled).toHaveLength(68)
  })

  it('does not read from a peer that waits, and reads again when nothing of it is left', async () => {
    const { peer, calls, streams, intake } = setup()
    const flood = peer('flood', many('txs', 30))
    expect(calls).toEqual([])
    await flood
    // once, not for each: what was read before is taken in first
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(calls.filter((each) => each === 'pause flood').length).toBe(
      calls.filter((each) => each === 'resume flood').length
    )
    expect(calls[0]).toBe('pause flood')
    expect(calls.at(-1)).toBe('resume flood')
    expect(calls.length).toBeLessThanOrEqual(4)
    expect(streams.get('flood')!.rawStream.maxReadBufferLength).toBeGreaterThan(16 * 1_048_576)
    expect(intake.waiting).toBe(0)
  })

  it('costs a peer nothing that sends little', async () => {
    const { peer, handled, calls } = setup(0)
    await peer('honest', many('txs', 3))
    expect([handled.length, calls]).toEqual([3, []])
  })

  it('sees 10,000 messages of a peer at once and 2,000 a second, and all that are urgent', async () => {
    const { peer, handled, clock } = setup(0)
    await peer('flood', many('txs', 10_500))
    expect(handled).toHaveLength(10_000)
    await peer('flood', ['blocks'])
    await peer('honest', ['txs'])
    expect(handled.slice(10_000)).toEqual(['flood blocks', 'honest txs'])
    clock.turn(1_000)
    await peer('flood', many('txs', 3_000))
    expect(handled).toHaveLength(12_002)
  })

  it('forgets what waits when it is cleared', async () => {
    const { peer, handled, intake, calls } = setup()
    const flood = peer('flood', many('txs', 30))
    expect(intake.waiting).toBe(0)
    await new Promise((resolve) => setImmediate(resolve))
    expect(intake.waiting).toBe(1)
    intake.clear()
    expect(calls.at(-1)).toBe('resume flood')
    await flood
    // one was dropped, and its sender not held up by that
    expect(handled).toHaveLength(29)
  })
})
