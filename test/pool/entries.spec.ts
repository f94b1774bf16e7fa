import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Entries, type Entry, POOL_LIMITS } from '../../dist/src/pool/entries.js'
import { compareRanks } from '../../dist/src/pool/rank.js'

const LIMITS = { txs: 6, bytes: 60, txsPerPeer: 3, txsPerSender: 3 }

it('has the limits that were promised', () => {
  expect(POOL_LIMITS).toEqual({ txs: 20_000, bytes: 16 * 1024 * 1024, txsPerPeer: 10_000, txsPerSender: 1_000 })
})

interface Draw {
  id: number
  size: number
  fee: number
  own: boolean
  source: string | undefined
  order: { sender: string; sequence: number } | undefined
  conflict: number | undefined
}

const draw: fc.Arbitrary<Draw> = fc.record({
  id: fc.nat(30),
  size: fc.integer({ min: 1, max: 25 }),
  fee: fc.nat(40),
  own: fc.boolean(),
  source: fc.option(fc.constantFrom('one', 'two'), { nil: undefined }),
  order: fc.option(fc.record({ sender: fc.constantFrom('a', 'b'), sequence: fc.nat(6) }), { nil: undefined }),
  conflict: fc.option(fc.nat(3), { nil: undefined })
})

function entryOf({ id, size, fee, own, source, order, conflict }: Draw): Entry<number> {
  const slots: string[] = []
  if (conflict != null) slots.push(`k${conflict}`)
  if (order != null) slots.push(`s${order.sequence}/${order.sender}`)
  return {
    key: `${id}`,
    id: Uint8Array.of(id),
    bytes: new Uint8Array(size),
    tx: id,
    source: own ? undefined : source,
    own,
    at: 0,
    fee: BigInt(fee),
    rate: fee / size,
    order: order == null ? undefined : { sender: order.sender, sequence: BigInt(order.sequence) },
    slots
  }
}

/** The same, by going through all each time. */
class Model {
  entries: { entry: Entry<number>; arrival: number }[] = []
  #arrivals = 0

  get bytes(): number {
    return this.entries.reduce((sum, { entry }) => sum + entry.bytes.length, 0)
  }

  rivals(entry: Entry<number>): Entry<number>[] {
    return this.entries.map((one) => one.entry).filter((one) => one.slots.some((slot) => entry.slots.includes(slot)))
  }

  add(entry: Entry<number>): boolean {
    if (this.entries.some((one) => one.entry.key === entry.key) || this.rivals(entry).length > 0) return false
    this.entries.push({ entry, arrival: this.#arrivals++ })
    return true
  }

  delete(key: string): void {
    this.entries = this.entries.filter(({ entry }) => entry.key !== key)
  }

  #chain(entry: Entry<number>): Entry<number>[] {
    const same = this.entries.map((one) => one.entry).filter((one) => one.order?.sender === entry.order?.sender)
    return entry.order == null ? [] : same
  }

  effective(entry: Entry<number>): number {
    const before = this.#chain(entry).filter(({ order }) => order!.sequence < entry.order!.sequence)
    return Math.min(entry.rate, ...before.map(({ rate }) => rate))
  }

  kept(entry: Entry<number>): boolean {
    return entry.own || this.#chain(entry).some(({ own, order }) => own && order!.sequence > entry.order!.sequence)
  }

  /** Those that may go, worst first. */
  ranked(): Entry<number>[] {
    return this.entries
      .filter(({ entry }) => !this.kept(entry))
      .sort((a, b) => this.effective(a.entry) - this.effective(b.entry) || b.arrival - a.arrival)
      .map(({ entry }) => entry)
  }

  room(entry: Entry<number>): string[] | undefined {
    const rivals = this.rivals(entry)
    const others = this.entries.map((one) => one.entry).filter((one) => !rivals.includes(one))
    const of = (test: (one: Entry<number>) => boolean): number => others.filter(test).length
    if (entry.source != null && of(({ source }) => source === entry.source) >= LIMITS.txsPerPeer) return undefined
    const sender = entry.order?.sender
    if (!entry.own && sender != null && of(({ order }) => order?.sender === sender) >= LIMITS.txsPerSender)
      return undefined
    let [txs, bytes] = [others.length + 1, others.reduce((sum, one) => sum + one.bytes.length, entry.bytes.length)]
    const victims: string[] = []
    const worth = this.effective(entry)
    for (const victim of this.ranked().filter((one) => !rivals.includes(one))) {
      if (txs <= LIMITS.txs && bytes <= LIMITS.bytes) break
      if (this.effective(victim) > worth || (!entry.own && this.effective(victim) === worth)) return undefined
      victims.push(victim.key)
      txs--
      bytes -= victim.bytes.length
    }
    return txs <= LIMITS.txs && bytes <= LIMITS.bytes ? victims : undefined
  }
}

it('knows rivals, ranks and what has to go for a newcomer, as one who looks at all does', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ what: fc.constant('add' as const), draw }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('delete' as const, 'adopt' as const), draw }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const entries = new Entries<number>(LIMITS)
      const model = new Model()
      for (const { what, draw } of steps) {
        const entry = entryOf(draw)
        if (what === 'delete') {
          entries.delete(entry.key)
          model.delete(entry.key)
        } else if (what === 'adopt') {
          // one object in both
          entries.adopt(entry.key)
        } else {
          expect(new Set(entries.rivals(entry))).toEqual(new Set(model.rivals(entry)))
          const room = entries.room(entry, model.rivals(entry))
          expect(typeof room === 'string' ? undefined : room.map(({ key }) => key)).toEqual(model.room(entry))
          // limits are not kept here, so that overflow has something to do
          expect(entries.add(entry)).toBe(model.add(entry))
        }
        expect([...entries.values()]).toEqual(model.entries.map((one) => one.entry))
        expect([entries.size, entries.bytes]).toEqual([model.entries.length, model.bytes])
        const places = [...entries.places()].filter(({ kept }) => !kept).sort(compareRanks)
        expect(places.map((place) => place.entry)).toEqual(model.ranked())
        const victims = entries.overflow()
        expect(victims).toEqual(model.ranked().slice(0, victims.length))
        const rest = model.entries.length - victims.length
        if (victims.length < model.ranked().length) expect(rest).toBeLessThanOrEqual(LIMITS.txs)
      }
      for (const victim of entries.overflow()) entries.delete(victim.key)
      expect(entries.overflow().filter(({ own }) => !own)).toEqual([])
      entries.clear()
      expect([entries.size, entries.bytes, [...entries.values()]]).toEqual([0, 0, []])
    }),
    { numRuns: 300 }
  )
})

it('gives a sender that fills the pool no way to have its first ones evicted before its last', () => {
  const entries = new Entries<number>({ ...LIMITS, txsPerSender: 10 })
  const paying = [5, 1, 9].map((fee, sequence) =>
    entryOf({
      id: sequence,
      size: 1,
      fee,
      own: false,
      source: 'one',
      order: { sender: 'a', sequence },
      conflict: undefined
    })
  )
  for (const entry of paying) entries.add(entry)
  const effective = [...entries.places()].map((place) => place.effective)
  expect(effective).toEqual([5, 1, 1])
  expect([...entries.places()].sort(compareRanks).map(({ entry }) => entry.key)).toEqual(['2', '1', '0'])
})
