import type { Libp2p } from '@libp2p/interface'
import { type Conversation, chat } from 'blockwire/chat'
import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { pipe } from 'it-pipe'
import { afterEach, describe, expect, it } from 'vitest'
import { Bell } from '../../dist/src/chat/bell.js'
import { Incoming } from '../../dist/src/chat/incoming.js'
import { Outgoing } from '../../dist/src/chat/outgoing.js'
import { redial } from '../../dist/src/chat/redial.js'
import { settle, until } from '../protocol/hosts.js'
import { bareHost, chatHost, converse, read, shut, stopHosts, take, unlock } from './hosts.js'

afterEach(stopHosts)

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `line ${index}`)

function cutAll(...hosts: Libp2p[]): void {
  for (const host of hosts) for (const connection of host.getConnections()) connection.abort(new Error('cut'))
}

function next(conversation: Conversation, event: 'away' | 'back'): Promise<void> {
  return new Promise((resolve) => conversation.addEventListener(event, () => resolve(), { once: true }))
}

describe.each(['memory', 'tcp'] as const)('across a hundred lost connections over %s', (over) => {
  it('lines arrive once and in order, both ways, and none is missing that was said to have arrived', async () => {
    const [alice, bob] = await Promise.all([chatHost({}, over), chatHost({}, over)])
    const { ours, theirs } = await converse(alice, bob)
    const [got, answers] = [read(theirs), read(ours)]
    const arrived: string[] = []
    let said = 0
    const say = async (conversation: Conversation, text: string): Promise<void> => {
      await conversation.send(text)
      arrived.push(text)
    }
    const all: Promise<void>[] = []
    for (let cuts = 0; cuts < 100; cuts++) {
      for (let burst = 0; burst < 5; burst++) {
        all.push(say(ours, `ours ${said}`), say(theirs, `theirs ${said}`))
        said++
      }
      // sometimes in the middle of what was just said, sometimes when some of it has gone
      await settle(cuts % 7)
      const back = next(ours, 'back')
      cutAll(cuts % 2 === 0 ? alice : bob)
      await back
    }
    await Promise.all(all)
    await Promise.all([ours.close(), theirs.close()])
    expect(await got).toEqual(Array.from({ length: said }, (_, index) => `ours ${index}`))
    expect(await answers).toEqual(Array.from({ length: said }, (_, index) => `theirs ${index}`))
    expect(arrived).toHaveLength(2 * said)
    expect([alice, bob].flatMap((host) => host.services.chat.conversations)).toEqual([])
  }, 120_000)
})

describe('a confirmed conversation', () => {
  it('is what two of our own kind have, negotiated together with the other kind', async () => {
    const [alice, bob, other] = await Promise.all([chatHost(), chatHost(), bareHost()])
    await other.handle('/chat/1.0.0', () => {})
    const { ours, theirs } = await converse(alice, bob)
    expect([ours.delivery, theirs.delivery]).toEqual(['confirmed', 'confirmed'])
    const lines = await alice.services.chat.open(other.getMultiaddrs()[0]!)
    expect(lines.delivery).toBe('unconfirmed')
  })

  it('says that a line has arrived before anybody reads it', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    await ours.send('hello')
    await theirs.send('hello too')
    expect([ours.waiting, theirs.waiting]).toEqual([0, 0])
    expect([await take(ours), await take(theirs)]).toEqual([['hello too'], ['hello']])
  })

  it('makes a fast side wait for one that does not read, holding 256 KiB there and 1 MiB here', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    const line = 'x'.repeat(10_000)
    const results = Array.from({ length: 200 }, async () =>
      ours.send(line).then(
        () => 'arrived',
        (err) => err.name
      )
    )
    await until(
      () => ours.waiting === 104 - 26,
      () => `the window is full, ${ours.waiting} wait`
    )
    const reading = read(theirs)
    const names = await Promise.all(results)
    expect(names.filter((name) => name === 'BusyError')).toHaveLength(200 - 104)
    await ours.send('the last')
    await Promise.all([ours.close(), theirs.close()])
    expect(await reading).toEqual([...new Array(104).fill(line), 'the last'])
  })

  it('takes a source of any length, and what is taken in waits for room', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    const reading = read(theirs)
    await pipe(numbers(20_000), ours)
    expect(await reading).toEqual(numbers(20_000))
  })

  it('keeps what is said while the peer is away, tells when that is too much, and sends it when the peer is back', async () => {
    const clock = new HandClock()
    const [alice, bob] = await Promise.all([chatHost({ clock }), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    const [away, theyWait] = [next(ours, 'away'), next(theirs, 'away')]
    shut(bob)
    cutAll(alice)
    await Promise.all([away, theyWait])
    expect([ours.connected, theirs.connected]).toEqual([false, false])
    const results = numbers(1_001).map((text) =>
      ours.send(text).then(
        () => 'arrived',
        (err) => err.name
      )
    )
    expect(await results[1_000]).toBe('BusyError')
    expect(ours.waiting).toBe(1_000)
    const back = next(ours, 'back')
    unlock(bob)
    await expect
      .poll(() => {
        clock.turn(5_000)
        return ours.connected
      })
      .toBe(true)
    await back
    expect(await take(theirs, 1_000)).toEqual(numbers(1_000))
    expect(await Promise.all(results)).toEqual([...new Array(1_000).fill('arrived'), 'BusyError'])
  })

  it('is lost when the peer does not come back in time, at both sides, with what was not acknowledged', async () => {
    const clock = new HandClock()
    const [alice, bob] = await Promise.all([chatHost({ clock, awayMs: 60_000 }), chatHost({ clock, awayMs: 60_000 })])
    const { ours, theirs } = await converse(alice, bob)
    const gone = [next(ours, 'away'), next(theirs, 'away')]
    shut(alice, bob)
    cutAll(alice)
    await Promise.all(gone)
    const unsaid = ours.send('anyone?')
    await until(() => clock.due.includes(60_000), 'the end of patience')
    clock.turn(60_000)
    await expect(unsaid).rejects.toMatchObject({ name: 'StreamLostError' })
    for (const conversation of [ours, theirs]) expect(await conversation.closed).toMatchObject({ reason: 'lost' })
    expect([...alice.services.chat.conversations, ...bob.services.chat.conversations]).toEqual([])
    expect(clock.due).toEqual([])
  })

  it('is lost at once when the peer has started anew', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    await ours.send('before')
    cutAll(bob)
    ;(theirs as unknown as { giveUp(error: Error): void }).giveUp(new Error('as if it had been another process'))
    expect(await ours.closed).toMatchObject({ reason: 'lost', error: { name: 'NotFoundError' } })
  })

  it('is over for the other side when ours is cut short, not waited for', async () => {
    const clock = new HandClock()
    const [alice, bob] = await Promise.all([chatHost({ clock }), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    const stopping = alice.stop()
    await until(() => clock.due.includes(500), 'the wait for a goodbye')
    clock.turn(500)
    await stopping
    expect(await ours.closed).toEqual({ reason: 'stopped' })
    expect(await theirs.closed).toEqual({ reason: 'left' })
  })

  it('is over for the other side, too, when it had closed before what we said arrived', async () => {
    const clock = new HandClock()
    const [alice, bob] = await Promise.all([chatHost({ clock }), chatHost({ clock: new HandClock() })])
    const { ours, theirs } = await converse(alice, bob)
    void theirs.close()
    expect(await read(ours)).toEqual([])
    // more than the other side has room for, since nobody reads there
    const unsaid = Array.from({ length: 8 }, () => ours.send('x'.repeat(60_000)))
    const closing = ours.close()
    await until(
      () => clock.due.includes(3_000) && ours.waiting === 4,
      () => `four lines to wait, ${ours.waiting} do`
    )
    clock.turn(3_000)
    expect(await closing).toEqual({ reason: 'left' })
    await expect(unsaid.at(-1)).rejects.toMatchObject({ name: 'StreamLostError' })
    expect(await theirs.closed).toEqual({ reason: 'closed' })
  })

  it('whose peer is away makes room for another one', async () => {
    const [bob, friend] = await Promise.all([chatHost({ maxIncoming: 2 }), chatHost()])
    bob.services.chat.addEventListener('conversation', () => {})
    const alice = await chatHost()
    const first = await converse(alice, bob)
    await converse(friend, bob)
    await expect(friend.services.chat.open(bob.getMultiaddrs()[0]!)).rejects.toMatchObject({ name: 'BusyError' })
    const away = next(first.theirs, 'away')
    shut(bob)
    cutAll(alice)
    await away
    unlock(bob)
    await converse(friend, bob)
    expect(await first.theirs.closed).toMatchObject({ reason: 'lost', error: { name: 'BusyError' } })
  })
})

describe('redialling', () => {
  it('pauses longer and longer, up to five seconds, and ends with the signal', async () => {
    const clock = new HandClock()
    const stop = new AbortController()
    let tries = 0
    const done = redial(
      async () => {
        tries++
        throw new Error('nobody')
      },
      clock,
      stop.signal,
      () => 0
    )
    const pauses: number[] = []
    for (let turn = 1; turn <= 9; turn++) {
      await until(() => tries === turn && clock.pending === 1, `attempt ${turn}`)
      pauses.push(clock.due[0]!)
      clock.turn(clock.due[0]!)
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
    stop.abort(new Error('enough'))
    await expect(done).rejects.toThrow('enough')
    expect(clock.pending).toBe(0)
  })
})

describe('both ends of the lines', () => {
  it('agree whatever is lost on the way, and wherever', async () => {
    const step = fc.oneof(
      fc.record({ say: fc.nat(2) }),
      fc.record({ carry: fc.nat(5) }),
      fc.record({ acknowledge: fc.boolean() }),
      fc.record({ read: fc.nat(4) }),
      fc.constant({ lose: true as const })
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const [outgoing, incoming] = [new Outgoing(new Bell()), new Incoming(new Bell())]
        const got: (string | undefined)[] = []
        let said = 0
        let arrived = 0
        const carry = (count: number): void => {
          for (let n = 0; n < count; n++) {
            const own = outgoing.next()
            if (own != null) incoming.push(own.id, own.line)
          }
        }
        const acknowledge = (): void => {
          outgoing.acknowledge(incoming.received)
          outgoing.allow(incoming.limit)
        }
        const say = (): void => {
          const number = said++
          const line = new TextEncoder().encode(`${number}`.padEnd(30_000))
          void outgoing.push(line).then(() => arrived++)
        }
        for (const each of steps) {
          if ('say' in each) for (let n = 0; n < each.say; n++) say()
          if ('carry' in each) carry(each.carry)
          if ('acknowledge' in each) acknowledge()
          if ('read' in each)
            for (let n = 0; n < each.read && got.length < incoming.received; n++) got.push(await incoming.take())
          if ('lose' in each) outgoing.resume(incoming.received)
          await undefined
        }
        outgoing.end()
        while (!outgoing.done || got.length < incoming.received) {
          carry(1)
          acknowledge()
          while (got.length < incoming.received) got.push(await incoming.take())
        }
        expect(got.map((text) => Number(text))).toEqual(Array.from({ length: said }, (_, index) => index))
        await undefined
        expect(arrived).toBe(said)
      }),
      { numRuns: 100 }
    )
  })
})

describe('an option that cannot work', () => {
  it.each([{ maxIncoming: 0 }, { maxPerPeer: 0.5 }, { stallMs: -1 }, { awayMs: -1 }])('is refused: %j', (init) => {
    const components = { logger: { forComponent: () => () => {} } } as never
    expect(() => chat(init)(components)).toThrow(
      expect.objectContaining({ name: 'ConfigError', option: Object.keys(init)[0] })
    )
  })
})
