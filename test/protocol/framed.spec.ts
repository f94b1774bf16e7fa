import type { Stream } from '@libp2p/interface'
import { streamPair } from '@libp2p/utils'
import { framed } from 'blockwire/protocol'
import { HandClock } from 'blockwire/testing'
import { pipe } from 'it-pipe'
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type Host, settle, startHost, stopHosts, until } from './hosts.js'

const bytes = (length: number, fill = 7): Uint8Array => new Uint8Array(length).fill(fill)

async function all(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const list: Uint8Array[] = []
  for await (const frame of source) list.push(frame)
  return list
}

/** The error of a promise that must not succeed. */
async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('did not fail')
    },
    (err) => err
  )
}

const hosts: Host[] = []
afterEach(async () => {
  await stopHosts(...hosts.splice(0))
})

/** Two ends of a stream over noise and yamux. */
async function realStreams(): Promise<[Stream, Stream]> {
  const [a, b] = await Promise.all([startHost(), startHost()])
  hosts.push(a, b)
  let inbound: Stream | undefined
  await b.registrar.handle('/t', (stream) => {
    inbound = stream
  })
  const { out } = await connect(a, b)
  const outbound = await out.newStream('/t')
  await until(() => inbound != null, 'the stream at the listener')
  return [outbound, inbound!]
}

describe('framed', () => {
  it('is a duplex that it-pipe joins at both ends and in the middle', async () => {
    const [a, b] = await streamPair()
    const echo = framed(b, { maxFrame: 1_000_000 })
    const [answers] = await Promise.all([
      pipe([bytes(3), bytes(0), bytes(200_000)], framed(a, { maxFrame: 1_000_000 }), all),
      pipe(echo, echo)
    ])
    expect(answers.map(({ length }) => length)).toEqual([3, 0, 200_000])
    await until(() => a.status === 'closed' && b.status === 'closed', 'both ends closed')
  })

  it('gathers what is at hand into sends of 64 KiB', async () => {
    const [a, b] = await streamPair()
    const sizes: number[] = []
    const send = a.send.bind(a)
    a.send = (data) => {
      sizes.push(data.byteLength)
      return send(data)
    }
    const reading = all(framed(b, { maxFrame: 1_000 }).source)
    await pipe(
      Array.from({ length: 2_000 }, () => bytes(100)),
      framed(a, { maxFrame: 1 })
    )
    await framed(b, { maxFrame: 1_000 }).sink([])
    expect(await reading).toHaveLength(2_000)
    expect(sizes).toEqual([65_500, 65_500, 65_500, 202_000 - 3 * 65_500])
  })

  it('sends at once what nothing follows', async () => {
    const [a, b] = await streamPair()
    const writer = framed(a, { maxFrame: 1 })
    let release = (): void => {}
    const waiting = new Promise<void>((resolve) => {
      release = resolve
    })
    const writing = pipe(async function* () {
      yield bytes(10)
      await waiting
    }, writer)
    const reader = framed(b, { maxFrame: 100 })
    expect((await reader.source.next()).value).toHaveLength(10)
    release()
    await writing
    await reader.sink([])
  })

  it('makes the sender wait while the reader stalls, then delivers everything', async () => {
    const [a, b] = await realStreams()
    const frames = 1_024
    let pulled = 0
    const writing = pipe(
      (function* () {
        for (; pulled < frames; pulled++) yield bytes(65_536, pulled % 256)
      })(),
      framed(a, { maxFrame: 1, stallMs: 600_000 })
    )
    const reader = framed(b, { maxFrame: 65_536 })
    expect((await reader.source.next()).value![0]).toBe(0)
    // the sender stands still: nothing is pulled for a hundred turns
    for (let still = 0, before = -1; still < 100; still = pulled === before ? still + 1 : 0) {
      before = pulled
      await settle(1)
    }
    expect(pulled).toBeLessThan(frames)
    expect(pulled * 65_536).toBeLessThan(12 << 20)
    expect(a.writeBufferLength).toBeLessThanOrEqual(65_536)
    expect(reader.buffered).toBeLessThan(6 << 20)
    let expected = 1
    for await (const frame of reader.source) expect(frame[0]).toBe(expected++ % 256)
    expect(expected).toBe(frames)
    await Promise.all([writing, reader.sink([])])
  })

  it('reads a frame that is larger than what it holds for a slow reader', async () => {
    const [a, b] = await realStreams()
    const reader = framed(b, { maxFrame: 8 << 20, highWater: 65_536 })
    const writing = pipe([bytes(8 << 20), bytes(8 << 20)], framed(a, { maxFrame: 1 }))
    expect((await all(reader.source)).map(({ length }) => length)).toEqual([8 << 20, 8 << 20])
    await Promise.all([writing, reader.sink([])])
  })

  it('cuts off a reader that does not read', async () => {
    const [a, b] = await realStreams()
    const clock = new HandClock()
    b.pause()
    const writing = failure(
      pipe(
        (function* () {
          while (true) yield bytes(65_536)
        })(),
        framed(a, { maxFrame: 1, stallMs: 10_000, clock })
      )
    )
    await until(() => a.writableNeedsDrain && clock.due.length === 1, 'a full buffer')
    clock.turn(9_999)
    expect(a.status).toBe('open')
    clock.turn(1)
    expect(await writing).toMatchObject({ name: 'TimeoutError', fault: 'quality' })
    expect(a.status).toBe('aborted')
  })

  it('is not kept up by a reader that opens its window byte by byte', async () => {
    const [a, b] = await realStreams()
    const clock = new HandClock()
    b.pause()
    let pulled = 0
    const writing = failure(
      pipe(
        (function* () {
          while (true) {
            pulled++
            yield bytes(65_536)
          }
        })(),
        framed(a, { maxFrame: 1, stallMs: 10_000, clock })
      )
    )
    await until(() => a.writableNeedsDrain && clock.due.length === 1, 'a full buffer')
    const before = pulled
    const sender = a as unknown as { handleWindowUpdate(frame: unknown): void }
    const receiver = b as unknown as { recvWindowCapacity: number }
    for (let i = 0; i < 100; i++) {
      receiver.recvWindowCapacity += 20
      sender.handleWindowUpdate({ header: { flag: 0, length: 20 } })
      await settle(1)
    }
    expect(pulled - before).toBeLessThan(3)
    expect(a.writeBufferLength).toBeLessThan(3 * 65_536)
    clock.turn(10_000)
    expect(await writing).toMatchObject({ name: 'TimeoutError' })
  })

  it('waits for each frame only so long, however it drips in', async () => {
    const [a, b] = await streamPair()
    const clock = new HandClock()
    const reader = framed(b, { maxFrame: 1_000, firstMs: 10_000, nextMs: 5_000, clock })
    a.send(Uint8Array.of(1, 42))
    expect((await reader.source.next()).value).toEqual(Uint8Array.of(42))
    const late = failure(reader.source.next())
    await until(() => clock.due.length === 1, 'a deadline')
    a.send(Uint8Array.of(100))
    for (let i = 0; i < 49; i++) {
      a.send(Uint8Array.of(i))
      await until(() => reader.buffered === i + 2, 'the next byte')
      clock.turn(100)
    }
    expect(b.status).toBe('open')
    clock.turn(100)
    expect(await late).toMatchObject({ name: 'TimeoutError', fault: 'quality' })
  })

  it('counts only the time that it waited against the whole', async () => {
    const [a, b] = await streamPair()
    const clock = new HandClock()
    const reader = framed(b, { maxFrame: 1_000, nextMs: 10_000, firstMs: 10_000, totalMs: 12_000, clock })
    const next = async (ms: number): Promise<unknown> => {
      const waiting = reader.source.next().catch((err) => err)
      await until(() => clock.due.length === 1, 'a deadline')
      clock.turn(ms)
      a.send(Uint8Array.of(1, 42))
      return waiting
    }
    expect(await next(9_000)).toMatchObject({ done: false })
    clock.turn(60_000)
    expect(await next(2_999)).toMatchObject({ done: false })
    expect(await next(1)).toMatchObject({ name: 'TimeoutError' })
  })

  it('says so when the stream was lost before it was read', async () => {
    const [a, b] = await realStreams()
    a.send(Uint8Array.of(1, 42))
    a.abort(new Error('away'))
    await until(() => b.status === 'reset', 'the reset')
    const reader = framed(b, { maxFrame: 1_000 })
    await expect(reader.source.next()).rejects.toMatchObject({ name: 'StreamLostError', fault: 'quality' })
    await expect(reader.sink([bytes(1)])).rejects.toMatchObject({ name: 'StreamLostError' })
  })

  it('tells an end inside a frame from an end between frames', async () => {
    const [a, b] = await streamPair()
    a.send(Uint8Array.of(1, 42, 2, 1))
    await a.close()
    const reader = framed(b, { maxFrame: 1_000 })
    expect((await reader.source.next()).value).toEqual(Uint8Array.of(42))
    await expect(reader.source.next()).rejects.toMatchObject({ name: 'TruncatedError', fault: 'quality' })
    expect(b.status).toBe('aborted')
  })

  it('gives the frames before a bad one', async () => {
    const [a, b] = await streamPair()
    a.send(Uint8Array.of(1, 42, 0xff, 0xff, 0x7f))
    const reader = framed(b, { maxFrame: 1_000 })
    expect((await reader.source.next()).value).toEqual(Uint8Array.of(42))
    await expect(reader.source.next()).rejects.toMatchObject({ name: 'TooLargeError' })
    expect(b.status).toBe('aborted')
    await until(() => a.status === 'reset', 'the reset at the other side')
  })

  it('resets the stream when it is left early', async () => {
    const [a, b] = await streamPair()
    a.send(Uint8Array.of(1, 42, 1, 43))
    for await (const _ of framed(b, { maxFrame: 1_000 }).source) break
    expect(b.status).toBe('aborted')
  })

  it('resets the stream when what is to be sent fails, and says why', async () => {
    const [a, b] = await streamPair()
    const writing = pipe(
      async function* () {
        yield bytes(1)
        throw new Error('no more')
      },
      framed(a, { maxFrame: 1 })
    )
    await expect(writing).rejects.toThrow('no more')
    expect(a.status).toBe('aborted')
    await until(() => b.status === 'reset', 'the reset at the other side')
  })

  it('notices a lost connection while it waits for something to send', async () => {
    const [a] = await streamPair()
    const writing = failure(
      pipe(
        async function* () {
          yield bytes(1)
          await new Promise(() => {})
        },
        framed(a, { maxFrame: 1 })
      )
    )
    await settle(3)
    // what a muxer does to its streams when its connection closes: no error, no reset
    const muxed = a as unknown as { onTransportClosed(): void }
    muxed.onTransportClosed()
    expect(a.status).toBe('closed')
    expect(await writing).toMatchObject({ name: 'StreamLostError' })
  })

  it('ends with the reason of its signal', async () => {
    const [a] = await streamPair()
    const controller = new AbortController()
    const reader = framed(a, { maxFrame: 1, signal: controller.signal })
    const reading = failure(reader.source.next())
    controller.abort(new Error('enough'))
    expect((await reading).message).toBe('enough')
    expect(a.status).toBe('aborted')
  })

  it('leaves no deadline and no listener on a signal behind', async () => {
    const [a, b] = await streamPair()
    const clock = new HandClock()
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    const init = { maxFrame: 10, firstMs: 1_000, nextMs: 1_000, totalMs: 5_000, clock }
    const echo = framed(b, init)
    await Promise.all([pipe([bytes(3), bytes(4)], framed(a, { ...init, signal }), all), pipe(echo, echo)])
    await until(() => a.status === 'closed', 'the end')
    expect(clock.due).toEqual([])
    expect(listeners).toBeLessThanOrEqual(0)
  })
})
