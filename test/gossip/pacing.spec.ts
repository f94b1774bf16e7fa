import { describe, expect, it } from 'vitest'
import { HIGH_WATER_BYTES, type Link, MAX_WAITING_BYTES, PATIENCE_MS, Pacer } from '../../dist/src/gossip/pacing.js'
import { HandClock } from './clock.js'

class FakeStream extends EventTarget {
  writeBufferLength = 0

  drain(): void {
    this.writeBufferLength = 0
    this.dispatchEvent(new Event('drain'))
  }
}

function setup() {
  const clock = new HandClock()
  const streams = [new FakeStream(), new FakeStream()]
  const cut: string[] = []
  const links = (): Link[] =>
    streams.map((stream, i) => ({ peer: `${i}`, stream, cut: (why) => cut.push(`${i} ${why}`) }))
  const pacer = new Pacer({ clock, links })
  const sent: string[] = []
  const send = (name: string, priority = 0, bytes = 65_536): boolean =>
    pacer.run({ priority, bytes, go: () => void sent.push(name), drop: () => void sent.push(`dropped ${name}`) })
  return { clock, streams, cut, pacer, sent, send }
}

describe('pacing', () => {
  it('sends at once while no link is full', () => {
    const { clock, sent, send } = setup()
    for (const name of ['a', 'b', 'c']) send(name)
    expect(sent).toEqual(['a', 'b', 'c'])
    expect(clock.waiting).toBe(0)
  })

  it('waits while a link holds over 1 MiB, and goes on when it drains, blocks first', () => {
    const { streams, sent, send } = setup()
    streams[1]!.writeBufferLength = HIGH_WATER_BYTES + 1
    send('tx 1')
    send('tx 2')
    send('block 1', 10)
    send('block 2', 10)
    expect(sent).toEqual([])
    streams[1]!.drain()
    expect(sent).toEqual(['block 1', 'block 2', 'tx 1', 'tx 2'])
  })

  it('waits for what is on its way to the links', async () => {
    const { pacer, sent, send } = setup()
    const landed = Promise.withResolvers<void>()
    pacer.run({ priority: 0, bytes: 65_536, go: () => landed.promise, drop: () => {} })
    send('after')
    expect(sent).toEqual([])
    landed.resolve()
    await landed.promise
    expect(sent).toEqual(['after'])
  })

  it('looks again when no drain event comes', () => {
    const { clock, streams, sent, send } = setup()
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 1
    send('a')
    streams[0]!.writeBufferLength = 0
    expect(sent).toEqual([])
    clock.turn(50)
    expect(sent).toEqual(['a'])
    expect(clock.waiting).toBe(0)
  })

  it('cuts a link that takes nothing for 2 s, and waits for it no more', () => {
    const { clock, streams, cut, sent, send } = setup()
    streams[0]!.writeBufferLength = 4 * HIGH_WATER_BYTES
    send('a')
    clock.turn(PATIENCE_MS - 100)
    expect([cut, sent]).toEqual([[], []])
    clock.turn(200)
    expect(cut).toHaveLength(1)
    expect(sent).toEqual(['a'])
    send('b')
    expect(cut).toHaveLength(1)
    expect(sent).toEqual(['a', 'b'])
  })

  it('has patience with a slow link that gets on', () => {
    const { clock, streams, cut, sent, send } = setup()
    streams[0]!.writeBufferLength = 8 * HIGH_WATER_BYTES
    send('a')
    for (let i = 0; i < 6; i++) {
      clock.turn(PATIENCE_MS - 100)
      streams[0]!.writeBufferLength *= 0.7
    }
    expect(cut).toEqual([])
    clock.turn(PATIENCE_MS)
    expect(sent).toEqual(['a'])
  })

  it('refuses what is over 64 MiB waiting, and drops what waits when it stops', () => {
    const { clock, streams, pacer, sent, send } = setup()
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 1
    expect(send('a', 0, MAX_WAITING_BYTES)).toBe(true)
    expect(send('b')).toBe(false)
    pacer.clear()
    expect(sent).toEqual(['dropped a'])
    expect([pacer.waitingBytes, clock.waiting]).toEqual([0, 0])
    streams[0]!.drain()
    send('c')
    expect(sent).toEqual(['dropped a', 'c'])
  })
})
