import type { Connection, Stream } from '@libp2p/interface'
import { defineProtocol, type PeerError, rawBytes } from 'blockwire/protocol'
import { HandClock } from 'blockwire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Frame } from '../../dist/src/pb/frame.js'
import { varintLength, writeVarint } from '../../dist/src/protocol/varint.js'
import { connect, type Host, startHost, stopHosts, until } from './hosts.js'

// What strangers may do on any request/response protocol, and what becomes of it. `control` is an honest pair: it must not notice.

const REQUEST = 4
const ITEM = 1_000
const CHAIN = 'test-00000000'

let clock: HandClock
let us: Host
let them: Host
let control: Host
let faults: { peer: string; name: string; fault: string }[]

const protocol = () =>
  defineProtocol({
    name: 'test/1',
    request: {
      encode: (bytes: Uint8Array) => bytes,
      decode: (bytes) => {
        if (bytes[0] === 0xff) throw new Error('garbage')
        return bytes
      }
    },
    item: {
      encode: (bytes: Uint8Array) => bytes,
      decode: (bytes) => {
        if (bytes[0] === 0xff) throw new Error('garbage')
        return bytes
      }
    },
    limits: { requestBytes: REQUEST, itemBytes: ITEM, items: 5, answerBytes: 3_000, totalMs: 30_000, inbound: 2 },
    clock
  })

beforeEach(async () => {
  clock = new HandClock()
  faults = []
  ;[us, them, control] = await Promise.all([startHost(), startHost(), startHost()])
})
afterEach(async () => {
  await stopHosts(us, them, control)
})

function prefixed(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(varintLength(frame.length) + frame.length)
  bytes.set(frame, writeVarint(frame.length, bytes, 0))
  return bytes
}

const items = (...list: Uint8Array[]): Uint8Array =>
  prefixed(Frame.encode({ items: Uint8Array.from(list.flatMap((item) => [...prefixed(item)])) }))
const end = (count: number, code = 0): Uint8Array => prefixed(Frame.encode({ end: { code, count } }))
const one = new Uint8Array(1)

/** Serves on `host` as an honest node does. */
function serve(host: Host): Promise<unknown> {
  return protocol().serve(
    host.registrar,
    CHAIN,
    async function* () {
      yield one
    },
    { onFault: (peer, { name, fault }) => faults.push({ peer: peer.toString(), name, fault }) }
  )
}

async function get(connection: Connection): Promise<number> {
  let count = 0
  for await (const page of protocol().request(connection, CHAIN, one)) count += page.length
  return count
}

async function honestPair(): Promise<() => Promise<void>> {
  await serve(control)
  const { out } = await connect(us, control)
  return async () => {
    expect(await get(out)).toBe(1)
    expect(out.status).toBe('open')
  }
}

/** Turns the clock in steps of a second until `done`, so that deadlines that are set on the way come too. */
async function passTime(done: () => boolean, what: string): Promise<void> {
  await until(() => {
    if (!done()) clock.turn(50)
    return done()
  }, what)
}

describe('a hostile server', () => {
  const rows: [name: string, act: (stream: Stream) => unknown, error: string, fault: string][] = [
    ['garbage', (s) => s.send(prefixed(new Uint8Array(20).fill(0xff))), 'MalformedError', 'protocol'],
    ['garbage as an item', (s) => s.send(items(Uint8Array.of(0xff))), 'MalformedError', 'protocol'],
    ['an unknown frame', (s) => s.send(prefixed(Uint8Array.of(0x7a, 1, 0))), 'MalformedError', 'protocol'],
    ['an empty frame', (s) => s.send(Uint8Array.of(0)), 'MalformedError', 'protocol'],
    ['a frame without an item', (s) => s.send(prefixed(Uint8Array.of(0x0a, 0))), 'MalformedError', 'protocol'],
    [
      'an item over the end of its frame',
      (s) => s.send(prefixed(Frame.encode({ items: Uint8Array.of(9, 1) }))),
      'MalformedError',
      'protocol'
    ],
    ['an oversize prefix', (s) => s.send(Uint8Array.of(0xff, 0xff, 0xff, 0x7f)), 'TooLargeError', 'protocol'],
    ['a prefix that never ends', (s) => s.send(new Uint8Array(12).fill(0xff)), 'MalformedError', 'protocol'],
    ['an oversize item', (s) => s.send(items(new Uint8Array(ITEM + 1))), 'TooLargeError', 'protocol'],
    [
      'an oversize answer',
      (s) => s.send(items(...Array.from({ length: 4 }, () => new Uint8Array(ITEM)))),
      'TooLargeError',
      'protocol'
    ],
    ['too many items', (s) => s.send(items(one, one, one, one, one, one)), 'TooManyItemsError', 'protocol'],
    [
      'too many items, one by one',
      (s) => {
        for (let i = 0; i < 6; i++) s.send(items(one))
      },
      'TooManyItemsError',
      'protocol'
    ],
    ['a wrong count', (s) => s.send(Uint8Array.of(...items(one), ...end(2))), 'MalformedError', 'protocol'],
    [
      'frames after the end',
      (s) => s.send(Uint8Array.of(...items(one), ...end(1), ...items(one))),
      'MalformedError',
      'protocol'
    ],
    ['a second end', (s) => s.send(Uint8Array.of(...end(0), ...end(0))), 'MalformedError', 'protocol'],
    [
      'a refusal after items',
      (s) => s.send(Uint8Array.of(...items(one), ...prefixed(Frame.encode({ notFound: {} })))),
      'MalformedError',
      'protocol'
    ],
    ['an early close', (s) => s.close(), 'TruncatedError', 'quality'],
    [
      'an early close after an item',
      async (s) => {
        s.send(items(one))
        await s.close()
      },
      'TruncatedError',
      'quality'
    ],
    [
      'an early close inside a frame',
      async (s) => {
        s.send(Uint8Array.of(50, 1, 2))
        await s.close()
      },
      'TruncatedError',
      'quality'
    ],
    ['a reset', (s) => s.abort(new Error('no')), 'StreamLostError', 'quality'],
    ['silence', () => {}, 'TimeoutError', 'quality'],
    ['silence after an item', (s) => s.send(items(one)), 'TimeoutError', 'quality'],
    [
      'a slow drip',
      (s) => {
        const bytes = items(new Uint8Array(ITEM))
        let at = 0
        const drip = (): void => {
          if (s.status !== 'open') return
          s.send(bytes.subarray(at, ++at))
          clock.after(5_000, drip)
        }
        drip()
      },
      'TimeoutError',
      'quality'
    ]
  ]

  it.each(rows)('%s', async (_name, act, name, fault) => {
    const stillHonest = await honestPair()
    await them.registrar.handle(protocol().id(CHAIN), async (stream) => {
      await new Promise<void>((resolve) => stream.addEventListener('message', () => resolve(), { once: true }))
      await act(stream)
      await new Promise((resolve) => stream.addEventListener('close', resolve))
    })
    const { out } = await connect(us, them)
    let failure: PeerError | undefined
    get(out).catch((err) => {
      failure = err
    })
    await passTime(() => failure != null, 'an error')
    expect(failure).toMatchObject({ name, fault })
    await until(() => out.streams.every(({ protocol }) => !protocol.endsWith('/test/1')), 'the stream to go')
    await stillHonest()
    await until(
      () => clock.due.filter((ms) => ms > 5_000).length === 0,
      () => `no deadline left, but ${clock.due}`
    )
  })

  it('a server that does not close after the end: the answer is good', async () => {
    await them.registrar.handle(protocol().id(CHAIN), async (stream) => {
      stream.send(Uint8Array.of(...items(one), ...end(1)))
      await new Promise((resolve) => stream.addEventListener('close', resolve))
    })
    const { out } = await connect(us, them)
    let got: number | undefined
    get(out).then((count) => {
      got = count
    })
    await passTime(() => got != null, 'the answer')
    expect(got).toBe(1)
    await until(() => out.streams.every(({ protocol }) => !protocol.endsWith('/test/1')), 'the stream to go')
  })
})

describe('a hostile client', () => {
  const rows: [
    name: string,
    act: (stream: Stream) => unknown,
    expected: { name: string; fault: string } | undefined
  ][] = [
    ['garbage', (s) => s.send(prefixed(Uint8Array.of(0xff))), { name: 'MalformedError', fault: 'protocol' }],
    ['an oversize prefix', (s) => s.send(Uint8Array.of(REQUEST + 1)), { name: 'TooLargeError', fault: 'protocol' }],
    [
      'a prefix that never ends',
      (s) => s.send(new Uint8Array(12).fill(0xff)),
      { name: 'MalformedError', fault: 'protocol' }
    ],
    ['two requests', (s) => s.send(Uint8Array.of(1, 1, 1, 1)), { name: 'MalformedError', fault: 'protocol' }],
    ['silence', () => {}, { name: 'TimeoutError', fault: 'quality' }],
    ['half a request', (s) => s.send(Uint8Array.of(3, 1)), { name: 'TimeoutError', fault: 'quality' }],
    [
      'a slow drip',
      (s) => {
        s.send(Uint8Array.of(4))
        const drip = (): void => {
          if (s.status !== 'open') return
          s.send(Uint8Array.of(1))
          clock.after(4_000, drip)
        }
        drip()
      },
      { name: 'TimeoutError', fault: 'quality' }
    ],
    ['an early close', (s) => s.close(), { name: 'TruncatedError', fault: 'quality' }],
    [
      'an early close inside the request',
      async (s) => {
        s.send(Uint8Array.of(3, 1))
        await s.close()
      },
      { name: 'TruncatedError', fault: 'quality' }
    ],
    ['a reset', (s) => s.abort(new Error('no')), { name: 'StreamLostError', fault: 'quality' }],
    [
      'a reset after asking: a change of mind',
      async (s) => {
        await new Promise<void>((resolve) => {
          s.addEventListener('message', () => resolve(), { once: true })
          s.send(Uint8Array.of(1, 1))
        })
        s.abort(new Error('no'))
      },
      undefined
    ],
    [
      'a second request after the answer',
      async (s) => {
        s.send(Uint8Array.of(1, 1))
        await until(() => s.remoteWriteStatus === 'closed', 'the answer')
        s.send(Uint8Array.of(1, 1))
      },
      { name: 'MalformedError', fault: 'protocol' }
    ],
    ['a side that is never closed', (s) => s.send(Uint8Array.of(1, 1)), undefined]
  ]

  it.each(rows)('%s', async (_name, act, expected) => {
    const stillHonest = await honestPair()
    await serve(us)
    const { out, in: inbound } = await connect(them, us)
    const stream = await out.newStream(protocol().id(CHAIN))
    await until(() => inbound.streams.some(({ protocol }) => protocol.endsWith('/test/1')), 'the stream')
    await act(stream)
    const gone = (): boolean => inbound.streams.every(({ protocol }) => !protocol.endsWith('/test/1'))
    await passTime(gone, 'the stream to go')
    await until(() => faults.length === (expected == null ? 0 : 1), 'the fault')
    expect(faults).toEqual(expected == null ? [] : [{ ...expected, peer: them.libp2p.peerId.toString() }])
    await stillHonest()
  })

  it('one that does not read', async () => {
    const stillHonest = await honestPair()
    let given = 0
    await defineProtocol({
      name: 'big/1',
      request: rawBytes,
      item: rawBytes,
      limits: { requestBytes: 4, itemBytes: 65_536, items: 1e9, answerBytes: 1e12, totalMs: 120_000, inbound: 2 },
      clock
    }).serve(
      us.registrar,
      CHAIN,
      async function* () {
        for (const item = new Uint8Array(65_536); ; given++) yield item
      },
      { onFault: (peer, { name, fault }) => faults.push({ peer: peer.toString(), name, fault }) }
    )
    const { out, in: inbound } = await connect(them, us)
    const stream = await out.newStream('/blockwire/test-00000000/big/1')
    stream.pause()
    stream.send(Uint8Array.of(1, 1))
    await stream.close()
    const served = (): Stream | undefined => inbound.streams.find(({ protocol }) => protocol.endsWith('/big/1'))
    await until(() => served()?.writableNeedsDrain === true, 'a full buffer')
    expect(given * 65_536).toBeLessThan(6 << 20)
    await passTime(() => served() == null, 'the stream to go')
    await until(() => faults.length > 0, 'the fault')
    expect(faults).toMatchObject([{ name: 'TimeoutError', fault: 'quality' }])
    await stillHonest()
  })

  it('a flood of streams: two are served, some are told, the rest is reset', async () => {
    const stillHonest = await honestPair()
    await serve(us)
    const { out, in: inbound } = await connect(them, us)
    const streams = await Promise.all(
      Array.from({ length: 30 }, () => out.newStream(protocol().id(CHAIN)).catch(() => undefined))
    )
    await until(() => streams.filter((s) => s?.status === 'open').length <= 6, 'the surplus to be reset')
    expect(inbound.streams.filter(({ protocol }) => protocol.endsWith('/test/1')).length).toBeLessThanOrEqual(6)
    await passTime(() => streams.every((s) => s?.status !== 'open'), 'the silent ones to be cut')
    expect(inbound.status).toBe('open')
    expect(faults.every(({ fault }) => fault === 'quality')).toBe(true)
    await stillHonest()
  })

  it('a larger flood of streams: its connection is cut', async () => {
    const stillHonest = await honestPair()
    await serve(us)
    const { out, in: inbound } = await connect(them, us)
    for (let i = 0; i < 100; i++) out.newStream(protocol().id(CHAIN)).catch(() => {})
    await until(() => inbound.status !== 'open', 'the connection to be cut')
    await until(() => faults.length > 0, 'the fault')
    await stillHonest()
    const charged = faults.filter(({ fault }) => fault === 'protocol')
    expect(charged).toEqual([{ peer: them.libp2p.peerId.toString(), name: 'FloodError', fault: 'protocol' }])
  })

  it('one that asks on and on though told to wait: charged again and again, after a new connection too', async () => {
    const stillHonest = await honestPair()
    await serve(us)
    // an honest one beside it
    await connect(control, us)
    const { out } = await connect(them, us)
    const silent = await Promise.all([0, 1].map(() => out.newStream(protocol().id(CHAIN))))
    const ask = async (connection: Connection): Promise<string> => {
      try {
        await get(connection)
        return 'an answer'
      } catch (err) {
        return (err as Error).name
      }
    }
    // a request beside two that are served counts as twenty: a hundred are as many as anyone has
    const answers: string[] = []
    while (answers.length < 110) answers.push(await ask(out))
    expect(new Set(answers.slice(0, 99))).toEqual(new Set(['BusyError']))
    expect(answers.at(-1), 'who does not hear is told no more').toBe('StreamLostError')
    expect(faults).toEqual([])
    for (let i = 0; i < 100; i++) await ask(out)
    const flood = { peer: them.libp2p.peerId.toString(), name: 'FloodError', fault: 'protocol' }
    expect(faults).toEqual([flood])

    for (const stream of silent) stream.abort(new Error('no'))
    await out.close()
    const again = (await connect(them, us)).out
    for (let i = 0; i < 100; i++) await ask(again)
    expect(faults.filter(({ fault }) => fault === 'protocol')).toEqual([flood, flood])
    // time passes: it is as welcome as anyone
    clock.turn(20_000)
    expect(await ask(again)).toBe('an answer')
    await stillHonest()
  })

  it('one that asks for much, twice at once, on and on: another gets as much as it does', async () => {
    const frame = new Uint8Array(65_000)
    let requests = 0
    let honest = 0
    await defineProtocol({
      name: 'share/1',
      request: rawBytes,
      item: rawBytes,
      limits: { requestBytes: 4, itemBytes: 65_536, items: 1e9, answerBytes: 1e12, totalMs: 120_000, inbound: 2 },
      clock
    }).serve(
      us.registrar,
      CHAIN,
      async function* (_, { peer }) {
        if (peer.equals(them.libp2p.peerId)) {
          requests++
          yield one
          return
        }
        for (;;) {
          honest += frame.length
          yield frame
        }
      },
      { onFault: (peer, { name, fault }) => faults.push({ peer: peer.toString(), name, fault }) }
    )
    const share = defineProtocol({
      name: 'share/1',
      request: rawBytes,
      item: rawBytes,
      limits: { requestBytes: 4, itemBytes: 65_536, items: 1e9, answerBytes: 1e12, totalMs: 120_000, inbound: 2 },
      clock
    })
    const [good, bad] = await Promise.all([connect(control, us), connect(them, us)])
    const stop = new AbortController()
    const read = async (): Promise<void> => {
      for await (const _ of share.request(good.out, CHAIN, one, { signal: stop.signal }));
    }
    const flood = async (): Promise<void> => {
      while (!stop.signal.aborted) for await (const _ of share.request(bad.out, CHAIN, one, { signal: stop.signal }));
    }
    const all = [read(), flood(), flood()].map((each) => each.catch(() => {}))
    await until(() => requests > 20 && honest > 0, 'both to be served')
    const begin = { requests, honest }
    await until(() => requests >= begin.requests + 100, 'a hundred more requests')
    stop.abort(new Error('enough'))
    await Promise.all(all)
    // a request counts for 256 KiB, so that of equal shares this one gets at least these bytes
    expect((honest - begin.honest) / (100 * 262_144)).toBeGreaterThan(0.5)
    expect(faults.filter(({ fault }) => fault === 'protocol')).toEqual([])
  })
})
