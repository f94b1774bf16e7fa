import type { Libp2p, Stream } from '@libp2p/interface'
import type { Conversation } from 'blockwire/chat'
import { type Framed, framed } from 'blockwire/protocol'
import { HandClock } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { ChatFrame } from '../../dist/src/pb/chat.js'
import { until } from '../protocol/hosts.js'
import { bareHost, chatHost, converse, type Host, nextConversation, read, stopHosts, take } from './hosts.js'

afterEach(stopHosts)

const ID = new Uint8Array(16).fill(7)
const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const hello = { hello: { id: ID, resume: false, received: 0 } }
const line = (id: number, text: string | Uint8Array<ArrayBuffer> = 'x') => ({
  line: { id, text: typeof text === 'string' ? encode(text) : text }
})

/** A peer that writes its own messages. */
class Stranger {
  private constructor(
    readonly host: Libp2p,
    readonly stream: Stream,
    private readonly wire: Framed
  ) {}

  static async meet(to: Host, host?: Libp2p): Promise<Stranger> {
    const from = host ?? (await bareHost())
    const stream = await from.dialProtocol(to.getMultiaddrs(), '/blockwire/chat/1')
    return new Stranger(from, stream, framed(stream, { maxFrame: 70_000 }))
  }

  /** What it sends goes out at once, and its side stays open. */
  send(...frames: (ChatFrame | Uint8Array)[]): void {
    for (const frame of frames) {
      const bytes = frame instanceof Uint8Array ? frame : ChatFrame.encode(frame)
      const length = bytes.byteLength
      const prefix =
        length < 128
          ? [length]
          : length < 16_384
            ? [(length & 127) | 128, length >> 7]
            : [(length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14]
      this.stream.send(Uint8Array.of(...prefix))
      if (length > 0) this.stream.send(bytes)
    }
  }

  async next(): Promise<ChatFrame | undefined> {
    const { value } = await this.wire.source.next()
    return value == null ? undefined : ChatFrame.decode(value)
  }
}

const charged = (): { peers: object; faults: string[] } => {
  const faults: string[] = []
  return { faults, peers: { fault: (_peer: unknown, fault: string) => faults.push(fault) } }
}

describe('a peer of our own kind that breaks the rules', () => {
  const many = (count: number): ChatFrame[] =>
    Array.from({ length: count }, (_, index) => line(index + 1, 'x'.repeat(65_000)))
  it.each<[what: string, frames: (ChatFrame | Uint8Array)[], reason: string]>([
    ['a line of over 64 KiB', [line(1, 'x'.repeat(65_537))], 'too-large'],
    ['a frame of over 64 KiB', [new Uint8Array(65_600)], 'too-large'],
    ['more than there is room for', many(5), 'violation'],
    ['a gap', [line(2)], 'violation'],
    ['a line without a number', [line(0)], 'violation'],
    ['a line break', [line(1, 'a\nb')], 'violation'],
    ['a line after its end', [line(1), { end: { last: 1 } }, line(2)], 'violation'],
    ['an end that is not', [line(1), { end: { last: 2 } }], 'violation'],
    ['an acknowledgement of what was not sent', [{ ack: { received: 1, limit: 0 } }], 'violation'],
    ['another hello', [hello], 'violation'],
    ['nothing', [{}], 'violation'],
    ['rubbish', [Uint8Array.of(255, 255, 255, 255)], 'violation']
  ])('by %s loses its conversation and is charged, others are not touched', async (_what, frames, reason) => {
    const { faults, peers } = charged()
    const [bob, friend] = await Promise.all([chatHost({}, 'memory', { peers }), chatHost()])
    const good = await converse(friend, bob)
    const incoming = nextConversation(bob)
    const stranger = await Stranger.meet(bob)
    stranger.send(hello, ...frames)
    const theirs = await incoming
    expect(await theirs.closed).toMatchObject({ reason, error: { fault: 'protocol' } })
    expect(faults).toEqual(['protocol'])
    await until(() => stranger.stream.status !== 'open', 'the reset')
    await good.ours.send('are you well?')
    expect(await take(good.theirs)).toEqual(['are you well?'])
    expect(bob.services.chat.conversations).toEqual([good.theirs])
  })

  it.each<[what: string, frame: ChatFrame | Uint8Array]>([
    ['no hello', line(1)],
    ['an ID of another length', { hello: { id: Uint8Array.of(1), resume: false, received: 0 } }],
    ['lines of ours that there cannot be', { hello: { id: ID, resume: false, received: 9 } }],
    ['rubbish', Uint8Array.of(255, 255, 255, 255)]
  ])('at the first message, by %s, has no conversation', async (_what, frame) => {
    const { faults, peers } = charged()
    const bob = await chatHost({}, 'memory', { peers })
    bob.services.chat.addEventListener('conversation', () => {})
    const stranger = await Stranger.meet(bob)
    stranger.send(frame)
    await until(() => stranger.stream.status !== 'open', 'the reset')
    expect([faults, bob.services.chat.conversations]).toEqual([['protocol'], []])
  })

  it('by silence is let go after ten seconds', async () => {
    const clock = new HandClock()
    const bob = await chatHost({ clock })
    bob.services.chat.addEventListener('conversation', () => {})
    const stranger = await Stranger.meet(bob)
    await until(() => clock.due.includes(10_000), 'the deadline of the hello')
    clock.turn(10_000)
    await until(() => stranger.stream.status !== 'open', 'the reset')
  })
})

describe('another stream for a conversation', () => {
  const resume = (received: number, id = ID): ChatFrame => ({ hello: { id, resume: true, received } })

  async function begun(): Promise<{ bob: Host; stranger: Stranger; theirs: Conversation }> {
    const bob = await chatHost()
    const incoming = nextConversation(bob)
    const stranger = await Stranger.meet(bob)
    stranger.send(hello)
    const theirs = await incoming
    expect(await stranger.next()).toMatchObject({ hello: { received: 0 } })
    return { bob, stranger, theirs }
  }

  it('takes the place of one that does not know yet that it is dead, and lines sent twice come once', async () => {
    const { bob, stranger, theirs } = await begun()
    stranger.send(line(1, 'one'), line(2, 'two'))
    expect(await take(theirs, 2)).toEqual(['one', 'two'])
    const again = await Stranger.meet(bob, stranger.host)
    again.send(resume(0))
    expect(await again.next()).toMatchObject({ hello: { received: 2 } })
    again.send(line(1, 'one'), line(2, 'two'), line(3, 'three'))
    expect(await take(theirs)).toEqual(['three'])
    expect(theirs.connected).toBe(true)
    await until(() => stranger.stream.status !== 'open', 'the end of the first stream')
  })

  it('gets what is not acknowledged again, and what was never is neither lost nor sent twice', async () => {
    const { bob, stranger, theirs } = await begun()
    const sent = [theirs.send('a'), theirs.send('b'), theirs.send('c')]
    for (const id of [1, 2, 3]) expect((await stranger.next())?.line?.id).toBe(id)
    stranger.send({ ack: { received: 1, limit: 0 } })
    await sent[0]
    const again = await Stranger.meet(bob, stranger.host)
    again.send(resume(2))
    expect(await again.next()).toMatchObject({ hello: { received: 0 } })
    await sent[1]
    expect(await again.next()).toMatchObject({ line: { id: 3 } })
    again.send({ ack: { received: 3, limit: 0 } })
    await sent[2]
  })

  it('is refused to others, and where there is none', async () => {
    const { bob, stranger, theirs } = await begun()
    const other = await Stranger.meet(bob)
    other.send(resume(0))
    expect(await other.next()).toEqual({ refusal: { code: 3 } })
    const unknown = await Stranger.meet(bob, stranger.host)
    unknown.send(resume(0, new Uint8Array(16)))
    expect(await unknown.next()).toEqual({ refusal: { code: 3 } })
    expect(theirs.connected).toBe(true)
  })
})

describe('text that is no text', () => {
  it('becomes U+FFFD, and all else is handed on as it is', async () => {
    const bob = await chatHost()
    const incoming = nextConversation(bob)
    const stranger = await Stranger.meet(bob)
    stranger.send(hello, line(1, Uint8Array.of(0x61, 0xff, 0xe2, 0x82)), line(2, '\ufeff\u001b[2J\r'), line(3, ''), {
      end: { last: 3 }
    })
    expect(await read(await incoming)).toEqual(['a\ufffd\ufffd', '\ufeff\u001b[2J\r', ''])
  })
})
