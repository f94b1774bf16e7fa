import type { Stream } from '@libp2p/interface'
import { HandClock } from 'blockwire/testing'
import { pEvent } from 'p-event'
import { afterEach, describe, expect, it } from 'vitest'
import { settle, until } from '../protocol/hosts.js'
import { bareHost, chatHost, converse, rawStream, read, stopHosts, take } from './hosts.js'

afterEach(stopHosts)

const LIMIT = 65_536
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Writes as a well-behaved peer does; the number of bytes that went out before the other end made it wait or hung up. */
async function pour(stream: Stream, piece: Uint8Array, most: number, patience?: AbortSignal): Promise<number> {
  let sent = 0
  try {
    for (; sent < most; sent += piece.byteLength) {
      if (!stream.send(piece)) await pEvent(stream, 'drain', { rejectionEvents: ['close'], signal: patience })
    }
  } catch {
    // it was hung up on, or has no patience left
  }
  return sent
}

describe('a line', () => {
  it('may have 65,536 bytes and not one more', async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    const longest = 'é'.repeat(LIMIT / 2)
    await pour(stream, encode(`${longest}\n`), 1)
    expect(await take(theirs)).toEqual([longest])
    await pour(stream, encode(`short\nx${longest}`), 1)
    expect(await read(theirs)).toEqual(['short'])
    expect(await theirs.closed).toMatchObject({
      reason: 'too-large',
      error: { name: 'TooLargeError', code: 'BW_PEER_TOO_LARGE', fault: 'protocol' }
    })
  })

  it('of 10 MiB ends the conversation after 64 KiB and is never held', async () => {
    const bob = await chatHost({}, 'tcp')
    const { stream, theirs } = await rawStream(bob)
    const reading = read(theirs)
    const sent = await pour(stream, new Uint8Array(65_536).fill(120), 10 << 20)
    expect(await reading).toEqual([])
    expect(await theirs.closed).toMatchObject({ reason: 'too-large' })
    expect(sent).toBeLessThan(10 << 20)
  })

  it('that is too long is charged to its peer, where somebody keeps account', async () => {
    const charged: unknown[] = []
    const peers = {
      fault: (peer: unknown, fault: string, reason: string) => charged.push([String(peer), fault, reason])
    }
    const bob = await chatHost({}, 'memory', { peers })
    const { stream, theirs, from } = await rawStream(bob)
    const reading = read(theirs)
    await pour(stream, new Uint8Array(LIMIT + 1), 1)
    await Promise.all([reading, theirs.closed])
    expect(charged).toEqual([[from.peerId.toString(), 'protocol', expect.stringContaining('65536')]])
  })

  it('of our own is refused at once when it cannot travel', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    expect(() => ours.send('two\nlines')).toThrow(expect.objectContaining({ name: 'ConfigError', option: 'text' }))
    expect(() => ours.send('é'.repeat(LIMIT / 2 + 1))).toThrow(expect.objectContaining({ name: 'ConfigError' }))
    await ours.send('still fine')
    expect(await take(theirs)).toEqual(['still fine'])
  })

  it('holds U+FFFD for what is no UTF-8, and loses a carriage return at its end', async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    stream.send(Uint8Array.of(0x61, 0xff, 0xc3, 0x28, 10, 0x62, 13, 10, 0xed, 0xa0, 0x80, 10, 0xe2, 0x82, 10))
    expect(await take(theirs, 4)).toEqual(['a\ufffd\ufffd(', 'b', '\ufffd\ufffd\ufffd', '\ufffd'])
  })

  it('may come byte by byte, and a letter in two pieces', async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    for (const byte of encode('naïve 小明\n')) stream.send(Uint8Array.of(byte))
    expect(await take(theirs)).toEqual(['naïve 小明'])
  })

  it('that the other side never ends is none: lost, not half shown', async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    stream.send(encode('whole\nhalf'))
    await stream.close()
    expect(await read(theirs)).toEqual(['whole'])
    expect(await theirs.closed).toMatchObject({ reason: 'lost', error: { name: 'TruncatedError' } })
  })
})

describe('a flood', () => {
  it('waits outside while nobody reads, and comes whole when somebody does', async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    const lines = 200_000
    const piece = encode('0123456\n'.repeat(1_000))
    const pouring = pour(stream, piece, lines * 8)
    await until(() => stream.writeBufferLength > 0 || stream.writableNeedsDrain, 'the peer is made to wait')
    expect((await take(theirs, lines)).every((line) => line === '0123456')).toBe(true)
    expect(await pouring).toBe(lines * 8)
  })

  it('leaves room for other work while it is read', async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    void pour(stream, encode('\n'.repeat(65_536)), 3 << 20)
    let turns = 0
    let read = 0
    const ticking = (): void => {
      turns++
      if (read < 300_000) setImmediate(ticking)
    }
    setImmediate(ticking)
    for await (const _ of theirs) if (++read === 300_000) break
    expect(turns).toBeGreaterThan(10)
  })

  it('of conversations ends at the limit: the rest is reset, the first ones stay', async () => {
    const bob = await chatHost({ maxIncoming: 3, maxPerPeer: 2 })
    bob.services.chat.addEventListener('conversation', () => {})
    const streams: Stream[] = []
    for (let peer = 0; peer < 3; peer++) {
      const from = await bareHost()
      for (let count = 0; count < 3; count++) streams.push(await from.dialProtocol(bob.getMultiaddrs(), '/chat/1.0.0'))
    }
    await until(
      () => streams.filter(({ status }) => status === 'open').length === 3,
      () => `three of ${streams.map(({ status }) => status)}`
    )
    expect(streams.map(({ status }) => status === 'open')).toEqual([
      ...[true, true, false],
      ...[true, false, false],
      ...[false, false, false]
    ])
    expect(bob.services.chat.conversations).toHaveLength(3)
    // a place that is given back is taken again
    streams[0]!.abort(new Error('enough'))
    await until(() => bob.services.chat.conversations.length === 2, 'the end of the first')
    const next = await rawStream(bob)
    expect(next.theirs.peer.equals(next.from.peerId)).toBe(true)
  })
})

describe('a peer that does not read', () => {
  it('makes send wait, then refuse, and is cut after ten seconds', async () => {
    const clock = new HandClock()
    const bob = await chatHost({ clock })
    const { stream, theirs } = await rawStream(bob)
    stream.addEventListener('message', () => {})
    stream.pause()
    const line = 'x'.repeat(60_000)
    const refused: string[] = []
    let sent = 0
    const results: Promise<void>[] = []
    while (refused.length === 0) {
      results.push(
        theirs.send(line).then(
          () => {
            sent++
          },
          (err) => {
            refused.push(err.name)
          }
        )
      )
      await settle(1)
    }
    expect(refused).toEqual(['BusyError'])
    // no more than the windows on the way and our own queue
    expect(results.length * line.length).toBeLessThan(16 << 20)
    await until(() => clock.due.includes(10_000), 'the deadline of the write')
    clock.turn(10_000)
    expect(await theirs.closed).toMatchObject({ reason: 'slow', error: { name: 'TimeoutError' } })
    await Promise.all(results)
    expect(sent).toBeLessThan(results.length)
    expect(new Set(refused)).toEqual(new Set(['BusyError', 'StreamLostError']))
  })
})

describe('a line to one who is gone', () => {
  it('may be left alone: its rejection ends no process', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      const [alice, bob] = await Promise.all([chatHost({ awayMs: 0 }), chatHost({ awayMs: 0 })])
      const { ours, theirs } = await converse(alice, bob)
      for (const connection of alice.getConnections()) connection.abort(new Error('killed'))
      await Promise.all([ours.closed, theirs.closed])
      for (const conversation of [ours, theirs]) void conversation.send('anyone?')
      await settle()
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })
})

describe('stop', () => {
  it('closes what is open even if nobody answers, and opens nothing more', async () => {
    const clock = new HandClock()
    const bob = await chatHost({ clock })
    const { stream, theirs } = await rawStream(bob)
    const stopping = bob.stop()
    await until(() => stream.remoteWriteStatus === 'closed', 'the goodbye')
    await until(() => clock.due.includes(500), 'the deadline of the goodbye')
    clock.turn(500)
    await stopping
    expect(await theirs.closed).toEqual({ reason: 'stopped' })
    expect(bob.services.chat.conversations).toEqual([])
    expect(clock.due).toEqual([])
    await expect(bob.services.chat.open(theirs.peer)).rejects.toThrow('stops')
  })
})
