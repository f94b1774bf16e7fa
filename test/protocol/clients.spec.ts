import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Client, Clients } from '../../dist/src/protocol/clients.js'

let clock: HandClock
let client: Client

beforeEach(() => {
  clock = new HandClock()
  client = new Clients(clock).get('a')
})

describe('the guard against floods', () => {
  it('lets 2,000 requests at once pass, then 200 a second', () => {
    for (let i = 0; i < 2_000; i++) expect(client.ask(false)).toBe(0)
    expect(client.ask(false)).toBe(1_000)
    clock.turn(1_000)
    for (let i = 0; i < 200; i++) expect(client.ask(false)).toBe(0)
    expect(client.ask(false)).toBe(1_000)
  })

  it('never stands in the way of 200 requests and 200 MB a second', () => {
    for (let i = 0; i < 20_000; i++) {
      expect(client.ask(false)).toBe(0)
      client.spend(1e6)
      clock.turn(5)
    }
  })

  it('stops a peer that has got 2 GiB, until they are paid for', () => {
    for (let i = 0; i < 128; i++) {
      expect(client.ask(false)).toBe(0)
      client.spend(2 ** 24)
    }
    client.spend(2 ** 30)
    const wait = client.ask(false)
    expect(wait).toBeGreaterThanOrEqual(5_000)
    expect(wait).toBeLessThan(5_100)
    clock.turn(wait)
    expect(client.ask(false)).toBe(0)
  })

  it('lets nobody have more in any ten seconds than 4,000, whatever the pace', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { minLength: 1, maxLength: 300 }), (gaps) => {
        const time = new HandClock()
        const asker = new Clients(time).get('b')
        const served: number[] = []
        for (const gap of gaps) {
          time.turn(gap)
          for (let i = 0; i < 50; i++) if (asker.ask(false) === 0) served.push(time.now())
        }
        for (const at of served) {
          expect(served.filter((other) => other >= at && other <= at + 10_000).length).toBeLessThanOrEqual(4_000)
        }
      }),
      { numRuns: 20 }
    )
  })

  it('counts a request beyond those that are served at once as twenty', () => {
    for (let i = 0; i < 100; i++) expect(client.ask(true)).toBe(0)
    expect(client.ask(false)).toBeGreaterThan(0)
  })

  it('charges who goes on though told to wait, not who has a few on their way', () => {
    while (client.ask(false) === 0);
    for (let i = 0; i < 99; i++) client.ask(false)
    expect(client.deaf).toBe(false)
    client.ask(false)
    expect(client.deaf).toBe(true)
    client.ask(false)
    expect(client.deaf).toBe(false)
    clock.turn(1_000)
    client.ask(false)
    expect(client.ignored).toBe(0)
  })

  it('bears a clock that is set back', () => {
    for (let i = 0; i < 2_000; i++) client.ask(false)
    clock.jump(-3_600_000)
    expect(client.ask(false)).toBe(1_000)
    clock.turn(1_000)
    expect(client.ask(false)).toBe(0)
  })
})

describe('those who ask', () => {
  it('are remembered after their last stream, up to a thousand that have something against them', () => {
    const clients = new Clients(clock)
    const first = clients.get('first')
    first.open++
    for (let i = 0; i < 3_000; i++) clients.get(`peer ${i}`).ask(false)
    expect(clients.get('first')).toBe(first)
    expect(clients.size).toBeLessThanOrEqual(1_000)
    const last = clients.get('peer 2999')
    clock.turn(20_000)
    for (let i = 0; i < 999; i++) clients.get(`later ${i}`)
    expect(clients.get('first')).toBe(first)
    expect(clients.get('peer 2999')).not.toBe(last)
  })
})
