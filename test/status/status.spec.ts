import { GoodbyeCode, STATUS_PROTOCOL } from 'blockwire/status'
import { afterEach, describe, expect, it } from 'vitest'
import { connect, settle, stopHosts, until } from '../protocol/hosts.js'
import { FakeChain } from './chain.js'
import { type StatusNode, startNode } from './node.js'

const nodes: StatusNode[] = []
afterEach(async () => {
  await stopHosts(...nodes.splice(0))
})

async function start(...args: Parameters<typeof startNode>): Promise<StatusNode> {
  const node = await startNode(...args)
  nodes.push(node)
  return node
}

/** Two nodes of the same chain that know each other. The first has dialled. */
async function pair(): Promise<[StatusNode, StatusNode]> {
  const [a, b] = await Promise.all([start(), start()])
  await connect(a, b)
  await bothJoined(a, b)
  return [a, b]
}

async function bothJoined(a: StatusNode, b: StatusNode): Promise<void> {
  await until(() => a.status.peers.has(b.id) && b.status.peers.has(a.id), 'both sides to join')
}

const connections = (a: StatusNode, b: StatusNode): number =>
  a.libp2p.getConnections(b.libp2p.peerId).filter(({ status }) => status === 'open').length
const statusStreams = (node: StatusNode): number =>
  node.libp2p.getConnections().flatMap(({ streams }) => streams.filter(({ protocol }) => protocol === STATUS_PROTOCOL))
    .length

describe('status', () => {
  it('lets peers of one chain know each other', async () => {
    const a = await start(new FakeChain(), { lowest: () => 5 })
    const b = await start(new FakeChain({ head: { hash: new Uint8Array(32).fill(2), height: 7, work: 70n } }), {
      role: 'light'
    })
    await connect(a, b)
    await bothJoined(a, b)
    expect(a.status.get(b.libp2p.peerId)).toMatchObject({
      role: 'light',
      lowest: 0,
      version: 1,
      head: { hash: b.chain.head.hash, height: 7, work: 70n },
      params: { blockTime: '10000', reward: '"50"' }
    })
    expect(b.status.get(a.libp2p.peerId)).toMatchObject({
      role: 'full',
      lowest: 5,
      head: { height: 100, work: 1_000n }
    })
    expect([a.joined.length, b.joined.length]).toEqual([1, 1])
    expect([...a.faults, ...b.faults]).toEqual([])
  })

  it('gives a new head to all peers, at once and then at most every 50 ms', async () => {
    const [a, b] = await pair()
    const c = await start()
    await connect(c, a)
    await bothJoined(a, c)
    a.chain.grow()
    await until(() => b.heads.length === 1 && c.heads.length === 1, 'the first head')
    for (let i = 0; i < 10; i++) a.chain.grow()
    await settle()
    expect(b.heads).toHaveLength(1)
    a.clock.turn(49)
    await settle()
    expect(b.heads).toHaveLength(1)
    a.clock.turn(1)
    await until(() => b.heads.length === 2 && c.heads.length === 2, 'the last head')
    expect(b.status.get(a.libp2p.peerId)?.head).toEqual(a.chain.head)
    a.clock.turn(1_000)
    await settle()
    expect(b.heads).toHaveLength(2)
    expect(b.heads[1]?.head?.height).toBe(111)
  })

  it('tells a head that changed during the handshake', async () => {
    const chain = new FakeChain()
    // asked for when hello is written
    const lowest = (): number => {
      queueMicrotask(() => {
        if (chain.head.height === 100) chain.grow(3)
      })
      return 0
    }
    const [a, b] = await Promise.all([start(chain, { lowest }), start()])
    await connect(a, b)
    await bothJoined(a, b)
    await until(() => b.status.get(a.libp2p.peerId)?.head?.height === 103, 'the new head')
  })

  it('has no head of a seed', async () => {
    const a = await start(new FakeChain(), { role: 'seed' })
    const b = await start()
    await connect(a, b)
    await bothJoined(a, b)
    a.chain.grow()
    await settle()
    expect(b.status.get(a.libp2p.peerId)).toMatchObject({ role: 'seed' })
    expect(b.status.get(a.libp2p.peerId)?.head).toBeUndefined()
    b.chain.grow()
    await until(() => a.heads.length === 1, 'a head at the seed')
  })

  it('leaves when the connection is gone, and joins again with the next', async () => {
    const [a, b] = await pair()
    await b.libp2p.hangUp(a.libp2p.peerId)
    await until(() => a.left.length === 1 && b.left.length === 1, 'both to leave')
    expect(a.left).toEqual([{ peer: b.id, reason: 'connection closed' }])
    expect(a.status.peers.size + b.status.peers.size).toBe(0)
    await connect(b, a)
    await bothJoined(a, b)
    expect(a.joined).toHaveLength(2)
    expect([...a.faults, ...b.faults]).toEqual([])
  })

  it('joins once where both have dialled', async () => {
    const [a, b] = await Promise.all([start(), start()])
    await Promise.all([
      a.libp2p.dial(b.libp2p.getMultiaddrs(), { force: true }),
      b.libp2p.dial(a.libp2p.getMultiaddrs(), { force: true })
    ])
    await bothJoined(a, b)
    await settle()
    a.clock.turn(60_000)
    b.clock.turn(60_000)
    await settle()
    expect([a.joined.length, b.joined.length, a.left.length, b.left.length]).toEqual([1, 1, 0, 0])
    expect(connections(a, b)).toBe(2)
    // each has opened a stream on the connection that it dialled: when one goes, the other is there at once
    expect(statusStreams(a)).toBe(2)
    a.status.get(b.libp2p.peerId)!.connection.abort(new Error('cut'))
    await until(() => statusStreams(a) === 1 && statusStreams(b) === 1, 'one stream to go')
    const [survivor] = a.libp2p.getConnections(b.libp2p.peerId).filter(({ status }) => status === 'open')
    await until(() => a.status.get(b.libp2p.peerId)?.connection.id === survivor!.id, 'the other to be named')
    expect([a.left, b.left]).toEqual([[], []])
    expect(a.clock.due).not.toContain(5_000)
  })
})

describe('another chain', () => {
  const rows: [string, Partial<FakeChain>, string, string, string, string][] = [
    ['network', { network: 'bye' }, 'network', 'network', 'hello', 'bye'],
    ['genesis', { genesis: { hash: new Uint8Array(32) } }, 'genesis', 'genesis', '09'.repeat(32), '00'.repeat(32)],
    [
      'params',
      { genesis: { hash: new Uint8Array(32) }, params: { blockTime: 5_000, reward: '50' } },
      'genesis',
      'params.blockTime',
      '10000',
      '5000'
    ],
    ['fork', { forks: [80] }, 'fork', 'fork', 'fb9b0a8d, next none', '']
  ]

  for (const weDial of [true, false]) {
    it.each(rows)(
      `of another %s is refused by both sides, with both values; ${weDial ? 'we dial' : 'it dials'}`,
      async (_name, more, code, field, ours, theirs) => {
        const [a, b] = await Promise.all([start(), start(new FakeChain(more as never))])
        await (weDial ? connect(a, b) : connect(b, a)).catch(() => {})
        await until(() => a.refused.length > 0 && b.refused.length > 0, 'both to refuse')
        const here = a.refused[0]!
        expect(here).toMatchObject({ code, field })
        expect(String(here.peer)).toBe(b.id)
        if (theirs !== '') expect(here).toMatchObject({ ours, theirs })
        expect(b.refused[0]).toMatchObject({ code, field, ours: here.theirs, theirs: here.ours })
        await until(() => connections(a, b) + connections(b, a) === 0, 'the connection to close')
        await settle()
        expect([a.refused.length, b.refused.length]).toEqual([1, 1])
        expect([...a.joined, ...b.joined, ...a.left, ...b.left, ...a.faults, ...b.faults]).toEqual([])
        expect(a.status.refusal(b.libp2p.peerId)).toEqual(here)
        expect(b.status.refusal(a.libp2p.peerId)).toEqual(b.refused[0])
      }
    )
  }

  it('of a fork that only one side can tell is reported by both', async () => {
    // b knows of a fork at 80 and stands at 10, we have passed 80 without it: only we can tell
    const a = await start()
    const b = await start(new FakeChain({ forks: [80], head: { ...a.chain.head, height: 10 } }))
    await connect(a, b)
    await until(() => a.refused.length > 0 && b.refused.length > 0, 'both to refuse')
    expect(a.refused[0]).toMatchObject({ code: 'fork', byThem: false, theirs: expect.stringContaining('next 80') })
    expect(b.refused[0]).toMatchObject({
      code: 'fork',
      byThem: true,
      ours: a.refused[0]!.theirs,
      theirs: a.refused[0]!.ours
    })
    await until(() => connections(a, b) + connections(b, a) === 0, 'the connection to close')
    await until(() => b.left.length === b.joined.length, 'whoever joined to leave')
  })

  it('is closed half a second after the goodbye by whoever said it, if need be', async () => {
    const a = await start()
    const b = await start(new FakeChain({ network: 'bye' }))
    // a side that never closes its stream
    await b.registrar.unhandle(STATUS_PROTOCOL)
    await b.registrar.handle(STATUS_PROTOCOL, async (stream) => {
      const { framed } = await import('blockwire/protocol')
      const { StatusMessage } = await import('../../dist/src/pb/status.js')
      const { helloOf } = await import('../../dist/src/status/hello.js')
      const wire = framed(stream, { maxFrame: 4_096 })
      wire
        .sink(
          (async function* () {
            yield StatusMessage.encode({ hello: helloOf(b.chain, 'full', 0) })
            await new Promise(() => {})
          })()
        )
        .catch(() => {})
      for await (const _ of wire.source);
    })
    await connect(a, b)
    await until(() => a.refused.length === 1, 'the refusal')
    await settle()
    expect(connections(a, b)).toBe(1)
    a.clock.turn(500)
    await until(() => connections(a, b) === 0, 'the connection to close')
  })

  it('is forgotten when our fork changes', async () => {
    const a = await start(new FakeChain({ forks: [101] }))
    const b = await start(new FakeChain({ forks: [90] }))
    await connect(a, b)
    await until(() => a.status.refusal(b.libp2p.peerId) != null, 'the refusal')
    a.chain.grow()
    expect(a.status.refusal(b.libp2p.peerId)).toBeUndefined()
  })

  it('is forgotten when the peer dials us, and joins if it has changed', async () => {
    const [a, b] = await Promise.all([start(), start(new FakeChain({ forks: [90] }))])
    await connect(a, b)
    await until(() => a.status.refusal(b.libp2p.peerId) != null && connections(b, a) === 0, 'the refusal')
    b.chain.forks = []
    await connect(b, a)
    await bothJoined(a, b)
    expect(a.status.refusal(b.libp2p.peerId)).toBeUndefined()
    expect(b.status.refusal(a.libp2p.peerId)).toBeUndefined()
  })
})

describe('another chain that has become ours', () => {
  it('is no longer refused when we dial it', async () => {
    const [a, b] = await Promise.all([start(), start(new FakeChain({ forks: [90] }))])
    await connect(a, b)
    await until(() => a.status.refusal(b.libp2p.peerId) != null && connections(b, a) === 0, 'the refusal')
    b.chain.forks = []
    await connect(a, b)
    await bothJoined(a, b)
    expect(a.status.refusal(b.libp2p.peerId)).toBeUndefined()
  })
})

describe('goodbye', () => {
  it('is told to the peer, which leaves at both sides; the caller closes', async () => {
    const [a, b] = await pair()
    await a.status.goodbye(b.libp2p.peerId, GoodbyeCode.tooManyPeers)
    expect(a.left).toEqual([{ peer: b.id, reason: 'too many peers' }])
    await until(() => b.left.length === 1, 'the other to leave')
    expect(b.left).toEqual([{ peer: a.id, reason: 'too many peers', code: GoodbyeCode.tooManyPeers }])
    expect(connections(a, b)).toBe(1)
    b.clock.turn(1_000)
    await until(() => connections(b, a) === 0, 'the other to close what the caller does not')
  })

  it('does nothing for a stranger', async () => {
    const [a, b] = await Promise.all([start(), start()])
    await a.status.goodbye(b.libp2p.peerId, GoodbyeCode.idle)
    expect(a.left).toEqual([])
  })

  it('does not wait for a peer that does not read', async () => {
    const [a, b] = await pair()
    for (const { streams } of b.libp2p.getConnections()) for (const stream of streams) stream.pause()
    const stream = a.libp2p.getConnections()[0]!.streams.find(({ protocol }) => protocol === STATUS_PROTOCOL)!
    stream.send(new Uint8Array(1 << 20))
    let done = false
    a.status.goodbye(b.libp2p.peerId, GoodbyeCode.idle).then(() => {
      done = true
    })
    await settle()
    expect(done).toBe(false)
    a.clock.turn(500)
    await until(() => done, 'goodbye to give up')
  })

  it('is said to all when a node stops', async () => {
    const [a, b] = await pair()
    await a.libp2p.stop()
    await until(() => b.left.length === 1, 'the peer to leave')
    expect(b.left).toEqual([{ peer: a.id, reason: 'shutting down', code: GoodbyeCode.shuttingDown }])
    expect(b.faults).toEqual([])
  })
})

describe('several connections', () => {
  it('keep the peer when the one with the stream closes', async () => {
    const [a, b] = await pair()
    const first = a.libp2p.getConnections(b.libp2p.peerId)[0]!
    const second = await a.libp2p.dial(b.libp2p.getMultiaddrs(), { force: true })
    await until(() => connections(b, a) === 2, 'both connections')
    await settle()
    expect(statusStreams(a)).toBe(1)
    b.clock.turn(10_000)
    await settle()
    expect(connections(b, a)).toBe(2)
    await first.close()
    await until(() => a.status.get(b.libp2p.peerId)?.connection.id === second.id, 'the stream to move')
    await until(() => statusStreams(b) === 1 && connections(b, a) === 1, 'the stream at the other side')
    a.chain.grow()
    await until(() => b.status.get(a.libp2p.peerId)?.head?.height === 101, 'a head over the new stream')
    a.clock.turn(60_000)
    b.clock.turn(60_000)
    await settle()
    expect([a.left, b.left, a.joined.length, b.joined.length]).toEqual([[], [], 1, 1])
    expect(connections(a, b)).toBe(1)
  })

  it('keep it too where the survivor was dialled by the other', async () => {
    const [a, b] = await pair()
    const first = a.libp2p.getConnections(b.libp2p.peerId)[0]!
    await b.libp2p.dial(a.libp2p.getMultiaddrs(), { force: true })
    await until(() => connections(a, b) === 2, 'both connections')
    await settle()
    first.abort(new Error('cut'))
    await until(() => statusStreams(a) === 1 && connections(b, a) === 1, 'the stream to move')
    a.chain.grow()
    await until(() => b.status.get(a.libp2p.peerId)?.head?.height === 101, 'a head over the new stream')
    expect([a.left, b.left]).toEqual([[], []])
  })

  it('lose it after 5 s without a new stream', async () => {
    const [a, b] = await pair()
    const first = a.libp2p.getConnections(b.libp2p.peerId)[0]!
    await b.libp2p.dial(a.libp2p.getMultiaddrs(), { force: true })
    await until(() => connections(a, b) === 2, 'both connections')
    await settle()
    // b will not open one
    await b.libp2p.services.status
    const survivor = b.libp2p.getConnections(a.libp2p.peerId).find(({ direction }) => direction === 'outbound')!
    survivor.newStream = () => new Promise(() => {})
    first.abort(new Error('cut'))
    await until(() => statusStreams(a) === 0, 'the stream to go')
    await settle()
    expect(a.left).toEqual([])
    a.clock.turn(4_999)
    expect(a.left).toEqual([])
    a.clock.turn(1)
    expect(a.left).toHaveLength(1)
    await until(() => connections(a, b) === 0, 'the connection to close')
  })

  it('a second stream on a connection takes the place of the first', async () => {
    const [a, b] = await pair()
    const connection = a.libp2p.getConnections(b.libp2p.peerId)[0]!
    const older = connection.streams.find(({ protocol }) => protocol === STATUS_PROTOCOL)!
    older.abort(new Error('lost'))
    await until(() => statusStreams(a) === 1 && statusStreams(b) === 1, 'a new stream')
    await until(() => a.status.peers.size === 1 && b.status.peers.size === 1, 'both to be there')
    b.chain.grow()
    await until(() => a.status.get(b.libp2p.peerId)?.head?.height === 101, 'a head over the new stream')
    expect([a.left, b.left, a.faults, b.faults]).toEqual([[], [], [], []])
  })
})

describe('stop', () => {
  it.each([0, 1, 3, 10, 30, 100, 300])('at turn %i of a handshake leaves nothing behind', async (turns) => {
    const [a, b] = await Promise.all([start(), start(new FakeChain(turns % 2 === 0 ? {} : { network: 'bye' }))])
    const dialling = a.libp2p.dial(b.libp2p.getMultiaddrs()).catch(() => {})
    await settle(turns)
    await Promise.all([a.libp2p.stop(), dialling])
    await until(
      () => a.clock.due.length === 0,
      () => `deadlines left: ${a.clock.due}`
    )
    expect(a.registrar.getTopologies(STATUS_PROTOCOL)).toEqual([])
    expect(a.registrar.getProtocols()).not.toContain(STATUS_PROTOCOL)
    expect(a.status.peers.size).toBe(0)
    a.chain.grow()
    expect(a.clock.due).toEqual([])
    await b.libp2p.stop()
    expect(b.clock.due).toEqual([])
  })

  it.each([3, 30, 300])('of the listener at turn %i leaves nothing behind', async (turns) => {
    const [a, b] = await Promise.all([start(), start()])
    const dialling = b.libp2p.dial(a.libp2p.getMultiaddrs()).catch(() => {})
    await settle(turns)
    await Promise.all([a.libp2p.stop(), dialling])
    await until(
      () => a.clock.due.length === 0,
      () => `deadlines left: ${a.clock.due}`
    )
  })

  it('leaves no deadline of its own while connections last', async () => {
    const [a, b] = await pair()
    a.chain.grow()
    expect(a.clock.due).toContain(50)
    expect(b.clock.due).toContain(10_000)
    for (const node of [a, b]) {
      const service = node.status as unknown as { beforeStop(): Promise<void>; stop(): Promise<void> }
      await service.beforeStop()
      if (node === a) await until(() => b.left.length === 1, 'the goodbye')
      await service.stop()
      expect(node.clock.due).toEqual([])
    }
  })

  it('can be followed by another start', async () => {
    const [a, b] = await pair()
    await a.libp2p.stop()
    await until(() => b.left.length === 1 && connections(b, a) === 0, 'the peer to leave')
    await a.libp2p.start()
    await connect(a, b)
    await bothJoined(a, b)
    a.chain.grow()
    await until(() => b.heads.length === 1, 'a head')
  })
})
