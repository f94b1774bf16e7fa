import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { Rate } from '../../dist/src/rate.js'
import { Outbox } from '../../dist/src/status/outbox.js'
import { Pace } from '../../dist/src/status/pace.js'

async function all(outbox: Outbox): Promise<number[]> {
  const list: number[] = []
  for await (const message of outbox) list.push(message[0]!)
  return list
}

describe('outbox', () => {
  it('sends hello first, of the waiting heads the newest, and nothing after goodbye', async () => {
    const outbox = new Outbox(Uint8Array.of(1))
    const sent = outbox[Symbol.asyncIterator]()
    outbox.head(Uint8Array.of(2))
    outbox.head(Uint8Array.of(3))
    expect((await sent.next()).value).toEqual(Uint8Array.of(1))
    expect((await sent.next()).value).toEqual(Uint8Array.of(3))
    const next = sent.next()
    outbox.head(Uint8Array.of(4))
    expect((await next).value).toEqual(Uint8Array.of(4))
    outbox.head(Uint8Array.of(5))
    outbox.goodbye(Uint8Array.of(6))
    outbox.head(Uint8Array.of(7))
    outbox.goodbye(Uint8Array.of(8))
    expect(await all(outbox)).toEqual([6])
  })

  it('ends without a goodbye where none is said', async () => {
    const outbox = new Outbox(Uint8Array.of(1))
    const sent = all(outbox)
    outbox.end()
    expect(await sent).toEqual([1])
  })
})

describe('pace', () => {
  it('runs at once, then once per interval for all that was asked in between', () => {
    const clock = new HandClock()
    let runs = 0
    const pace = new Pace(50, clock, () => runs++)
    for (let i = 0; i < 5; i++) pace.ask()
    expect(runs).toBe(1)
    clock.turn(50)
    expect(runs).toBe(2)
    clock.turn(50)
    expect(runs).toBe(2)
    expect(clock.due).toEqual([])
    pace.ask()
    pace.ask()
    pace.stop()
    expect(clock.due).toEqual([])
  })
})

describe('rate', () => {
  it('allows a burst of the whole window, then its share', () => {
    const rate = new Rate(40, 10_000, 0)
    const taken = (now: number): number => Array.from({ length: 500 }, () => rate.take(now)).filter(Boolean).length
    expect(taken(0)).toBe(400)
    expect(taken(1_000)).toBe(40)
    expect(taken(60_000)).toBe(400)
  })
})
