import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { MAX_WAITING_BYTES, Pacer } from '../../dist/src/gossip/pacing.js'
import { HIGH_WATER_BYTES, type Link, PATIENCE_MS, SLOW_MS } from '../../dist/src/gossip/patience.js'

class FakeStream extends EventTarget {
  writeBufferLength = 0

  /** As yamux does: tells first, and writes in a microtask. */
  async drain(): Promise<void> {
    queueMicrotask(() => {
      this.writeBufferLength = 0
    })
    this.dispatchEvent(new Event('drain'))
    await Promise.resolve()
    await Promise.resolve()
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
    pacer.run({ priority, bytes, go: () => void sent.push(name), drop: (why) => void sent.push(`${why} ${name}`) })
  return { clock, streams, cut, pacer, sent, send }
}

describe('pacing', () => {
  it('sends at once while no link is full', () => {
    const { clock, sent, send } = setup()
    for (const name of ['a', 'b', 'c']) send(name)
    expect(sent).toEqual(['a', 'b', 'c'])
    expect(clock.pending).toBe(0)
  })

  it('waits while a link holds over 1 MiB, and goes on when it drains, blocks first', async () => {
    const { streams, sent, send } = setup()
    streams[1]!.writeBufferLength = HIGH_WATER_BYTES + 1
    send('tx 1')
    send('tx 2')
    send('block 1', 10)
    send('block 2', 10)
    expect(sent).toEqual([])
    await streams[1]!.drain()
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
    expect(clock.pending).toBe(0)
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

  it('cuts it though nothing waits', () => {
    const { clock, streams, cut, sent, send } = setup()
    streams[0]!.writeBufferLength = 2 * HIGH_WATER_BYTES
    send('a')
    clock.turn(PATIENCE_MS - 500)
    // it is slow now, not stuck
    streams[0]!.writeBufferLength -= 65_536
    clock.turn(600)
    expect([cut, sent]).toEqual([[], ['a']])
    clock.turn(PATIENCE_MS)
    expect(cut).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  it('does not wait again for a peer that was cut and comes back, until 5 min are over', () => {
    const { clock, streams, cut, pacer, sent, send } = setup()
    streams[0]!.writeBufferLength = 4 * HIGH_WATER_BYTES
    send('a')
    clock.turn(PATIENCE_MS + 100)
    expect(cut).toHaveLength(1)
    // the same peer with a new stream
    streams[0] = new FakeStream()
    streams[0].writeBufferLength = 4 * HIGH_WATER_BYTES
    send('b')
    expect(sent).toEqual(['a', 'b'])
    expect([pacer.takes('0', HIGH_WATER_BYTES + 1), pacer.takes('0', HIGH_WATER_BYTES)]).toEqual([false, true])
    expect(pacer.takes('1', 8 * HIGH_WATER_BYTES)).toBe(true)
    // it is cut again when it still reads nothing, without anybody waiting for that
    for (let i = 0; i < 25; i++) {
      clock.turn(100)
      send(`more ${i}`)
    }
    expect(sent).toHaveLength(27)
    expect(cut).toHaveLength(2)
    clock.turn(SLOW_MS)
    streams[0] = new FakeStream()
    streams[0].writeBufferLength = 4 * HIGH_WATER_BYTES
    send('later')
    expect(sent).toHaveLength(27)
  })

  it('has patience with a slow link that gets on', () => {
    const { clock, streams, cut, sent, send } = setup()
    streams[0]!.writeBufferLength = 8 * HIGH_WATER_BYTES
    send('a')
    for (let i = 0; i < 6; i++) {
      clock.turn(PATIENCE_MS - 100)
      streams[0]!.writeBufferLength *= 0.5
    }
    clock.turn(100)
    expect([cut, sent]).toEqual([[], ['a']])
  })

  it('stops waiting for a link that dribbles, gives it no more, and does not cut it', () => {
    const { clock, streams, cut, pacer, sent, send } = setup()
    // just enough to come under the mark now and then, and to be given the next one
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 65_536
    for (let i = 0; i < 400; i++) {
      if (streams[0]!.writeBufferLength <= HIGH_WATER_BYTES) streams[0]!.writeBufferLength += 65_536
      if (pacer.waitingBytes === 0) send(`${i}`)
      clock.turn(50)
      streams[0]!.writeBufferLength -= 5_000
    }
    expect(cut).toEqual([])
    expect(pacer.takes('0', HIGH_WATER_BYTES + 1)).toBe(false)
    // it took 400 × 5,000 bytes: had all waited for it, about 30 would be sent
    expect(sent.length).toBeGreaterThan(300)
  })

  it('does not blame a link for what our own event loop missed', () => {
    const { clock, streams, cut, sent, send } = setup()
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 1
    send('a')
    clock.jump(10 * PATIENCE_MS)
    expect([cut, sent]).toEqual([[], []])
    streams[0]!.writeBufferLength = 0
    clock.turn(50)
    expect([cut, sent]).toEqual([[], ['a']])
  })

  it('is short with those who never read when they come under ever new names', () => {
    const clock = new HandClock()
    let link: Link | undefined
    const links = (): Link[] => (link == null ? [] : [link])
    const pacer = new Pacer({ clock, links })
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      const stream = new FakeStream()
      stream.writeBufferLength = 2 * HIGH_WATER_BYTES
      link = { peer: `name ${i}`, stream, cut: () => {} }
      const since = clock.now()
      let sent = 0
      const go = (): void => {
        sent = clock.now()
      }
      pacer.run({ priority: 0, bytes: 65_536, go, drop: () => {} })
      while (sent === 0) clock.turn(50)
      waits.push(sent - since)
    }
    expect(waits.slice(0, 3)).toEqual([PATIENCE_MS, PATIENCE_MS, PATIENCE_MS])
    expect(Math.max(...waits.slice(3))).toBeLessThanOrEqual(300)
  })

  it('gives a block the room of transactions, and not the other way round', async () => {
    const { streams, pacer, sent, send } = setup()
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 1
    for (let i = 0; i < 1_024; i++) expect(send(`tx ${i}`)).toBe(true)
    expect(send('tx too many')).toBe(false)
    expect(send('block', 10, 1_048_576)).toBe(true)
    expect(sent).toEqual(Array.from({ length: 16 }, (_, i) => `full tx ${1_008 + i}`))
    expect(pacer.waitingBytes).toBe(MAX_WAITING_BYTES)
    expect(send('block too large', 10, MAX_WAITING_BYTES)).toBe(false)
    sent.length = 0
    await streams[0]!.drain()
    expect(sent.slice(0, 2)).toEqual(['block', 'tx 0'])
    expect(sent).toHaveLength(1_009)
  })

  it('bounds how many small ones wait', () => {
    const { streams, send } = setup()
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 1
    let waiting = 0
    while (waiting < 100_000 && send('small', 0, 1)) waiting++
    expect(waiting).toBe(16_384)
  })

  it('refuses what is over 64 MiB waiting, and drops what waits when it stops', async () => {
    const { clock, streams, pacer, sent, send } = setup()
    streams[0]!.writeBufferLength = HIGH_WATER_BYTES + 1
    expect(send('a', 0, MAX_WAITING_BYTES)).toBe(true)
    expect(send('b')).toBe(false)
    pacer.clear()
    expect(sent).toEqual(['stopped a'])
    expect([pacer.waitingBytes, clock.pending]).toEqual([0, 0])
    await streams[0]!.drain()
    send('c')
    expect(sent).toEqual(['stopped a', 'c'])
  })
})
