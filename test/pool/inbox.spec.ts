import { peerIdFromString } from '@libp2p/peer-id'
import { ACCEPT, type CheckedTx, ignore, reject, txId, type Verdict } from 'blockwire/chain'
import { encodeBatch, splitBatch } from 'blockwire/pool'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import { Inbox } from '../../dist/src/pool/inbox.js'
import { Slab } from '../../dist/src/pool/slab.js'

const PEERS = [
  '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA',
  '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'
].map((id) => peerIdFromString(id))

/** Transaction `n`: its first bytes say so. */
function tx(n: number, length = 40): Uint8Array {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(0, n)
  return bytes
}
const numberOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
const range = (from: number, to: number): Uint8Array[] => Array.from({ length: to - from }, (_, i) => tx(from + i))

/** An inbox whose checks are answered by hand, in the order in which they were asked for. */
function setup(verdictOf: (n: number) => Verdict = () => ACCEPT) {
  const pooled = new Map<string, Uint8Array>()
  const checks: { numbers: number[]; answer: (checked: CheckedTx<number>[]) => void }[] = []
  const passed: number[][] = []
  const inbox = new Inbox<number>({
    txBytes: 1_000,
    isKnown: (key) => pooled.has(key),
    get: (key) => pooled.get(key),
    check: (list) =>
      new Promise((resolve) => {
        checks.push({ numbers: list.map(numberOf), answer: resolve })
      }),
    admit: async (entries) =>
      entries.map(({ key, bytes }) => {
        if (pooled.has(key)) return ignore('known')
        const verdict = verdictOf(numberOf(bytes))
        if (verdict.result === 'accept') pooled.set(key, bytes)
        return verdict
      }),
    pass: (batch) => passed.push(splitBatch(batch, 1_000).map(numberOf))
  })
  const judge = (txs: Uint8Array[], peer = 0): Promise<Verdict> =>
    Promise.resolve(inbox.judge({ data: encodeBatch(txs), from: PEERS[peer]!, topic: 'txs' }))
  /** Answers the next check: all good, but for these. */
  const answer = async (wrong: Record<number, Verdict> = {}): Promise<number[]> => {
    const { numbers, answer } = checks.shift()!
    answer(numbers.map((n) => ({ verdict: wrong[n] ?? ACCEPT, tx: n })))
    await new Promise((resolve) => setImmediate(resolve))
    return numbers
  }
  return { inbox, pooled, checks, passed, judge, answer }
}

describe('the inbox of a pool', () => {
  it('decodes nothing that is known by its hash', async () => {
    const { pooled, checks, judge } = setup()
    for (const each of range(0, 5)) pooled.set(toHex(txId(each)), each)
    expect(await judge(range(0, 5))).toEqual({ result: 'ignore', reason: 'known' })
    expect(checks).toEqual([])
    const judging = judge(range(3, 8))
    expect(checks[0]!.numbers).toEqual([5, 6, 7])
    checks[0]!.answer([5, 6, 7].map((n) => ({ verdict: ACCEPT, tx: n })))
    expect(await judging).toEqual({ result: 'accept' })
  })

  it('checks each once that stands several times in a batch', async () => {
    const { judge, answer, pooled } = setup()
    const judging = judge([tx(1), tx(1), tx(2), tx(1)])
    expect(await answer()).toEqual([1, 2])
    expect(await judging).toEqual({ result: 'accept' })
    expect(pooled.size).toBe(2)
  })

  it('refuses the whole for one that fails its check, and pools nothing of it', async () => {
    const { judge, answer, pooled, passed } = setup()
    const judging = judge(range(0, 3))
    await answer({ 1: reject('tx', 'wrong signature') })
    expect(await judging).toMatchObject({ result: 'reject', reason: 'tx' })
    expect([pooled.size, passed]).toEqual([0, []])
  })

  it.each<[string, Verdict]>([
    ['the state', ignore('state', 'no money')],
    ['want of room', ignore('full')]
  ])('passes on what is pooled, in its order, when %s keeps some out', async (_, why) => {
    const { judge, answer, passed, pooled } = setup((n) => (n === 2 ? why : ACCEPT))
    pooled.set(toHex(txId(tx(3))), tx(3))
    const judging = judge([tx(4), tx(3), tx(2), tx(1)])
    await answer()
    expect(await judging).toEqual(why)
    expect(passed).toEqual([[4, 3, 1]])
  })

  it('passes nothing on when nothing new is admitted', async () => {
    const { judge, answer, passed, pooled } = setup(() => ignore('state'))
    pooled.set(toHex(txId(tx(3))), tx(3))
    const judging = judge([tx(4), tx(3)])
    await answer()
    expect(await judging).toEqual({ result: 'ignore', reason: 'state' })
    expect(passed).toEqual([])
  })

  it('is not held up by what came another way meanwhile', async () => {
    const { judge, answer, pooled } = setup()
    const judging = judge(range(0, 3))
    pooled.set(toHex(txId(tx(1))), tx(1))
    await answer()
    expect(await judging).toEqual({ result: 'accept' })
    const again = judge([tx(7)])
    pooled.set(toHex(txId(tx(7))), tx(7))
    await answer()
    expect(await again).toEqual({ result: 'ignore', reason: 'known' })
  })

  it('checks 512 at once, and of what waits each peer in turn', async () => {
    const { judge, answer, checks } = setup()
    const flood = Array.from({ length: 6 }, (_, i) => judge(range(1_000 * i, 1_000 * i + 300)))
    const honest = judge(range(90_000, 90_010), 1)
    // the second begins while fewer than 512 are under way
    expect(checks.map(({ numbers }) => numbers.length)).toEqual([300, 300])
    await answer()
    await answer()
    // one of the flood's, then the other peer's, before the rest
    expect((await answer())[0]).toBe(2_000)
    expect((await answer())[0]).toBe(90_000)
    expect(await honest).toEqual({ result: 'accept' })
    for (let i = 3; i < 6; i++) await answer()
    expect(await Promise.all(flood)).toEqual(flood.map(() => ({ result: 'accept' })))
    expect(checks).toEqual([])
  })

  it('answers all that waits when it is cleared', async () => {
    const { inbox, judge, answer } = setup()
    const judging = [0, 1, 2].map((i) => judge(range(1_000 * i, 1_000 * i + 300)))
    inbox.clear()
    expect(await judging[2]).toMatchObject({ result: 'ignore', reason: 'error' })
    await answer()
    await answer()
    await Promise.all(judging)
  })
})

describe('small copies', () => {
  it('share buffers of 4 KiB, and large ones have their own', () => {
    const slab = new Slab()
    const given = range(0, 200)
    const copies = given.map((bytes) => slab.copy(bytes))
    expect(copies).toEqual(given)
    expect(new Set(copies.map(({ buffer }) => buffer)).size).toBe(2)
    given[0]!.fill(9)
    expect(copies[0]).toEqual(tx(0))
    const large = slab.copy(new Uint8Array(5_000).fill(3))
    expect(large.buffer.byteLength).toBe(5_000)
  })
})
