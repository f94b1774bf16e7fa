import type { Connection } from '@libp2p/interface'
import {
  BusyError,
  defineProtocol,
  MalformedError,
  NotFoundError,
  type PeerError,
  type ProtocolLimits,
  type RequestHandler,
  rawBytes,
  Serving
} from 'blockwire/protocol'
import { HandClock } from 'blockwire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Host, settle, startHost, stopHosts, until } from './hosts.js'

const number = {
  encode: (value: number): Uint8Array => new TextEncoder().encode(String(value)),
  decode(bytes: Uint8Array): number {
    const value = Number(new TextDecoder().decode(bytes))
    if (!Number.isSafeInteger(value)) throw new Error('not a number')
    return value
  }
}
const limits: ProtocolLimits<number> = {
  requestBytes: 10,
  itemBytes: 1_000,
  items: (request) => request,
  answerBytes: 100_000,
  totalMs: 60_000,
  inbound: 2
}
const CHAIN = 'hello-6f1c9a3b'

let clock: HandClock
let a: Host
let b: Host
let connection: Connection
let faults: PeerError[]
let errors: unknown[]

beforeEach(async () => {
  clock = new HandClock()
  faults = []
  errors = []
  ;[a, b] = await Promise.all([startHost(), startHost()])
  connection = (await connect(a, b)).out
})
afterEach(async () => {
  await stopHosts(a, b)
})

const define = (more: Partial<ProtocolLimits<number>> = {}) =>
  defineProtocol({ name: 'test/1', request: number, item: rawBytes, limits: { ...limits, ...more }, clock })
const hooks = {
  onFault: (_peer: unknown, err: PeerError) => faults.push(err),
  onError: (err: unknown) => errors.push(err)
}
const item = (size: number, fill = 1): Uint8Array => new Uint8Array(size).fill(fill)

async function pages<T>(answer: AsyncIterable<T[]>): Promise<T[][]> {
  const list: T[][] = []
  for await (const page of answer) list.push(page)
  return list
}

const streamsLeft = (): number =>
  [...a.libp2p.getConnections(), ...b.libp2p.getConnections()]
    .flatMap(({ streams }) => streams)
    .filter(({ protocol }) => protocol.endsWith('/test/1')).length

/** Serves `handler` and asks for `request`, once. */
async function ask(handler: RequestHandler<number, Uint8Array>, request = 1_000, more = {}) {
  const protocol = define(more)
  await protocol.serve(b.registrar, CHAIN, handler, hooks)
  const answer = protocol.request(connection, CHAIN, request)
  return { answer, protocol }
}

describe('a protocol', () => {
  it('has an ID that carries the chain, unless it is a whole one', () => {
    expect(define().id(CHAIN)).toBe('/blockwire/hello-6f1c9a3b/test/1')
    expect(defineProtocol({ name: '/own/1', request: number, item: rawBytes, limits }).id(CHAIN)).toBe('/own/1')
  })

  it('answers with items in order, in frames of up to 64 KiB', async () => {
    const { answer } = await ask(async function* (request) {
      for (let i = 0; i < request; i += 100) yield Array.from({ length: 100 }, (_, j) => item(100, (i + j) % 256))
    })
    const got = await pages(answer)
    expect(got.length).toBe(2)
    expect(got.flat().map((bytes) => bytes[0])).toEqual(Array.from({ length: 1_000 }, (_, i) => i % 256))
    expect(got.flat().every(({ length }) => length === 100)).toBe(true)
    expect(answer.more).toBe(false)
    expect(answer.count).toBe(1_000)
    await until(() => streamsLeft() === 0, 'all streams closed')
    expect(faults).toEqual([])
  })

  it('passes on what a slow handler has, without waiting for more', async () => {
    let release = (): void => {}
    const more = new Promise<void>((resolve) => {
      release = resolve
    })
    const { answer } = await ask(async function* () {
      yield item(1)
      await more
      yield [item(2), item(3)]
    })
    const iterator = answer[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toHaveLength(1)
    release()
    expect((await iterator.next()).value).toHaveLength(2)
    expect((await iterator.next()).done).toBe(true)
  })

  it('can be whole without an item', async () => {
    const { answer } = await ask(async function* () {})
    expect(await pages(answer)).toEqual([])
    expect(answer.more).toBe(false)
  })

  it.each([
    ['the handler says so', 1_000, 5, () => 'more'],
    ['more items come than were asked for', 3, 3, () => undefined]
  ])('is marked as cut when %s', async (_name, request, count, end) => {
    const { answer } = await ask(async function* () {
      yield Array.from({ length: 5 }, () => item(1))
      return end()
    }, request)
    expect((await pages(answer)).flat()).toHaveLength(count)
    expect(answer.more).toBe(true)
  })

  it('is cut at its limit of bytes', async () => {
    const { answer } = await ask(async function* () {
      while (true) yield item(1_000)
    })
    expect((await pages(answer)).flat()).toHaveLength(100)
    expect(answer.more).toBe(true)
  })

  it('lets a handler refuse', async () => {
    const { protocol } = await ask(async function* (request) {
      if (request === 1) throw new BusyError(1_234)
      if (request === 2) throw new NotFoundError()
      yield item(1)
      throw new BusyError(1)
    })
    const get = (request: number) => pages(protocol.request(connection, CHAIN, request))
    await expect(get(1)).rejects.toMatchObject({ name: 'BusyError', fault: 'none', retryMs: 1_234 })
    await expect(get(2)).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    const late = protocol.request(connection, CHAIN, 3)
    expect(await pages(late)).toHaveLength(1)
    expect(late.more).toBe(true)
    expect(faults).toEqual([])
    await until(() => streamsLeft() === 0, 'all streams closed')
  })

  it('charges a request that its handler finds senseless', async () => {
    const { answer } = await ask(async function* () {
      yield* []
      throw new MalformedError('limit')
    })
    await expect(pages(answer)).rejects.toMatchObject({ name: 'StreamLostError' })
    expect(faults).toMatchObject([{ name: 'MalformedError' }])
    expect(errors).toEqual([])
  })

  it('charges nobody for a handler that fails', async () => {
    const { answer } = await ask(async function* () {
      yield item(1)
      throw new Error('bug')
    })
    await expect(pages(answer)).rejects.toMatchObject({ name: 'StreamLostError', fault: 'quality' })
    expect(faults).toEqual([])
    expect(errors).toMatchObject([{ message: 'bug' }])
    await until(() => streamsLeft() === 0, 'all streams closed')
  })

  it('is stopped at the server when nobody wants it any more', async () => {
    let given = 0
    let ended = false
    let signal: AbortSignal | undefined
    const { answer } = await ask(
      async function* (_request, context) {
        signal = context.signal
        try {
          while (true) {
            given++
            yield item(1_000)
          }
        } finally {
          ended = true
        }
      },
      1e9,
      { answerBytes: 1e12 }
    )
    for await (const _ of answer) break
    await until(() => ended, 'the handler is told')
    expect(signal?.aborted).toBe(true)
    expect(given).toBeLessThan(20_000)
    await until(() => streamsLeft() === 0, 'all streams closed')
    expect(faults).toEqual([])
  })

  it('ends with the reason of the signal of whoever asked', async () => {
    const { protocol } = await ask(async function* (_request, { signal }) {
      yield item(1)
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const controller = new AbortController()
    const answer = protocol.request(connection, CHAIN, 5, { signal: controller.signal })
    const iterator = answer[Symbol.asyncIterator]()
    await iterator.next()
    const next = iterator.next()
    controller.abort(new Error('changed my mind'))
    await expect(next).rejects.toThrow('changed my mind')
    await expect(pages(protocol.request(connection, CHAIN, 5, { signal: controller.signal }))).rejects.toThrow(
      'changed'
    )
    await until(() => streamsLeft() === 0, 'all streams closed')
    expect(faults).toEqual([])
  })

  it('tells a peer over its share that it is busy, whatever the connection', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { protocol } = await ask(async function* () {
      await held
      yield item(1)
    })
    const second = await a.libp2p.dial(b.libp2p.getMultiaddrs(), { force: true })
    const serving = [pages(protocol.request(connection, CHAIN, 1)), pages(protocol.request(second, CHAIN, 1))]
    await until(() => streamsLeft() >= 4, 'both streams at both sides')
    await settle()
    await expect(pages(protocol.request(connection, CHAIN, 1))).rejects.toMatchObject({
      name: 'BusyError',
      retryMs: 1_000
    })
    await expect(pages(protocol.request(second, CHAIN, 1))).rejects.toMatchObject({ name: 'BusyError' })
    release()
    expect(await Promise.all(serving)).toHaveLength(2)
    await until(() => streamsLeft() === 0, 'all streams closed')
    expect(await pages(protocol.request(connection, CHAIN, 1))).toHaveLength(1)
  })

  it('is told Busy where there is no room for the answer; the slowest of those that take long makes room', async () => {
    const serving = new Serving({ clock, heldBytes: 250_000 })
    let release = (): void => {}
    const slow = new Promise<void>((resolve) => {
      release = resolve
    })
    // each may hold 102 KB
    const protocol = define()
    const handler: RequestHandler<number, Uint8Array> = async function* (request) {
      yield item(1)
      if (request === 7) await slow
    }
    await protocol.serve(b.registrar, CHAIN, handler, { ...hooks, serving })
    const first = protocol.request(connection, CHAIN, 7)
    const waiting = pages(first)
    waiting.catch(() => {})
    await until(() => first.count === 1, 'the first')
    const rest = serving.begin('another', 102_000, () => {})!
    await rest.take(1_000_000)
    await expect(pages(protocol.request(connection, CHAIN, 1))).rejects.toMatchObject({ name: 'BusyError' })
    expect(faults).toEqual([])
    clock.turn(6_000)
    await expect(pages(protocol.request(connection, CHAIN, 1))).rejects.toMatchObject({ name: 'BusyError' })
    await expect(waiting).rejects.toMatchObject({ name: 'StreamLostError' })
    await until(() => faults.length === 1, 'the fault')
    expect(faults).toMatchObject([{ name: 'TimeoutError', fault: 'quality' }])
    expect(await pages(protocol.request(connection, CHAIN, 1))).toHaveLength(1)
    rest.end()
    release()
    await until(() => streamsLeft() === 0 && serving.held === 0, 'all to be over')
  })

  it('is not spoken where it is not served', async () => {
    await expect(pages(define().request(connection, CHAIN, 1))).rejects.toMatchObject({
      name: 'UnsupportedError',
      fault: 'quality'
    })
  })

  it('keeps to its own limit of streams', async () => {
    const protocol = define({ outbound: 1 })
    await protocol.serve(a.registrar, CHAIN, async function* () {}, hooks)
    await define({ inbound: 5 }).serve(
      b.registrar,
      CHAIN,
      async function* (_request, { signal }) {
        yield item(1)
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
      hooks
    )
    const first = protocol.request(connection, CHAIN, 1)[Symbol.asyncIterator]()
    await first.next()
    await expect(pages(protocol.request(connection, CHAIN, 1))).rejects.toMatchObject({
      name: 'BusyError',
      fault: 'none'
    })
    await first.return?.()
  })

  it('refuses an own request or item over its limit, which is a mistake of ours', async () => {
    const { protocol, answer } = await ask(async function* () {
      yield item(1_001)
    })
    await expect(pages(protocol.request(connection, CHAIN, 12_345_678_901))).rejects.toThrow(RangeError)
    await expect(pages(answer)).rejects.toMatchObject({ name: 'StreamLostError' })
    expect(errors).toMatchObject([{ name: 'RangeError' }])
  })

  it('resets what is being served when it stops', async () => {
    const protocol = define()
    let signal: AbortSignal | undefined
    const stop = await protocol.serve(
      b.registrar,
      CHAIN,
      async function* (_request, context) {
        signal = context.signal
        yield item(1)
        await new Promise(() => {})
      },
      hooks
    )
    const iterator = protocol.request(connection, CHAIN, 5)[Symbol.asyncIterator]()
    await iterator.next()
    await stop()
    await expect(iterator.next()).rejects.toMatchObject({ name: 'StreamLostError' })
    expect(signal?.aborted).toBe(true)
    expect(faults).toEqual([])
    await expect(pages(protocol.request(connection, CHAIN, 5))).rejects.toMatchObject({ name: 'UnsupportedError' })
    await until(() => clock.due.length === 0, 'no deadline left')
  })

  it('charges nobody for what its stop cuts off', async () => {
    const protocol = define()
    const stop = await protocol.serve(b.registrar, CHAIN, async function* () {}, hooks)
    const silent = await connection.newStream(protocol.id(CHAIN))
    await until(() => clock.due.includes(10_000), 'the deadline of the request')
    await stop()
    await until(() => silent.status === 'reset', 'the reset')
    await settle()
    expect(faults).toEqual([])
  })

  it('leaves no deadline behind', async () => {
    const { answer } = await ask(async function* () {
      yield item(1)
    })
    await pages(answer)
    await until(
      () => streamsLeft() === 0 && clock.due.length === 0,
      () => `deadlines ${clock.due}`
    )
  })
})
