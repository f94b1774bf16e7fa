import { createNode, type Node } from 'blockwire'
import { toHex } from 'blockwire/chain'
import { growChain, oneHead, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Crash, crash, crashRules, expectWhole, type Moment, openStore, type Remains } from '../helpers/crash.js'
import { Program } from '../helpers/process.js'
import { testSeal } from '../helpers/seal.js'

/** More writes than any of the programs makes. */
const MAX_WRITES = 100
/** Blocks that the syncing process finds, and those that come while it follows. */
const BLOCKS = 40
const LIVE = 3

afterEach(() => Program.killAll())

/**
 * Kills at the first write, at the second, and so on, until the program ends by itself. Answers how many writes it makes. `together`:
 * programs at once, where each has nothing but its own directory.
 */
async function atEveryWrite(
  run: (at: number) => Promise<Remains>,
  look: (remains: Remains) => Promise<void>,
  together = 1
) {
  for (let from = 1; from <= MAX_WRITES; from += together) {
    const all = await Promise.all(Array.from({ length: together }, (_, i) => run(from + i)))
    for (const [i, remains] of all.entries()) {
      try {
        await expectWhole(remains)
        await look(remains)
      } catch (err) {
        throw new Error(`killed at write ${from + i}: ${err instanceof Error ? err.message : err}`, { cause: err })
      } finally {
        await remains.remove()
      }
    }
    const unharmed = all.findIndex(({ killed }) => !killed)
    if (unharmed !== -1) return from + unharmed - 1
  }
  throw new Error(`the program still writes after ${MAX_WRITES} writes`)
}

describe.each<Moment>(['before', 'during', 'after'])('a chain that is killed %s each of its writes', (moment) => {
  it('stands on one of its heads, also while it reorganises, and ends where it would have ended', async () => {
    const whole = await crash({ scenario: 'reorg', moment, at: 0 })
    const reference = await openStore(whole.data)
    const blocks: Uint8Array[] = await reference.db.values({ gte: Uint8Array.of(0x62), lt: Uint8Array.of(0x63) }).all()
    const head = toHex(reference.chain.head.hash)
    await reference.close()
    await whole.remove()

    const writes = await atEveryWrite(
      (at) => crash({ scenario: 'reorg', moment, at }),
      async ({ data }) => {
        const { chain, close } = await openStore(data)
        for (const block of blocks) await chain.add(Uint8Array.from(block))
        expect(toHex(chain.head.hash)).toBe(head)
        await close()
      },
      2
    )
    expect(writes).toBeGreaterThan(10)
  })
})

describe('a chain that is killed after each write', () => {
  it('among the steps of a reorganisation ends where it would have ended', async () => {
    const whole = await crash({ scenario: 'steps', moment: 'after', at: 0 })
    const reference = await openStore(whole.data)
    const blocks: Uint8Array[] = await reference.db.values({ gte: Uint8Array.of(0x62), lt: Uint8Array.of(0x63) }).all()
    const head = toHex(reference.chain.head.hash)
    await reference.close()
    await whole.remove()
    const writes = await atEveryWrite(
      (at) => crash({ scenario: 'steps', moment: 'after', at }),
      async ({ data }) => {
        const { chain, close } = await openStore(data)
        for (const block of blocks) await chain.add(Uint8Array.from(block))
        expect(toHex(chain.head.hash)).toBe(head)
        await close()
      },
      2
    )
    expect(writes).toBeGreaterThan(15)
  })

  it('while its state is made anew ends with the same store', async () => {
    const newer = testRules({ network: 'crash', state: { a: 'genesis' }, stateVersion: 2 })
    const contents = async (data: string): Promise<string[]> => {
      const { db, chain, close } = await openStore(data, newer)
      expect(chain.head.height).toBe(8)
      const entries = (await db.iterator().all()).map(([key, value]) => `${toHex(key)} ${toHex(value)}`)
      await close()
      return entries
    }
    const whole = await crash({ scenario: 'rebuild', moment: 'after', at: 0 })
    const expected = await contents(whole.data)
    await whole.remove()
    for (let at = 1, killed = true; killed; at++) {
      const remains = await crash({ scenario: 'rebuild', moment: 'after', at })
      killed = remains.killed
      expect(await contents(remains.data), `killed at write ${at}`).toEqual(expected)
      await remains.remove()
      if (!killed) expect(at).toBeGreaterThan(10)
    }
  })
})

// what `during` adds is LevelDB's part, and that is the same
describe.each<Moment>(['before', 'after'])('a node that is killed %s each of its writes', (moment) => {
  let other: Node<TestHeader, TestTx>
  const seed = () => other.multiaddrs[0]!

  beforeAll(async () => {
    other = await createNode({ rules: crashRules })
  })
  afterAll(() => other.stop())

  it('syncs on and ends on the same head', async () => {
    await growChain(other.chain, BLOCKS, { txs: [{ kind: 'set', key: 'b', value: 'x'.repeat(300), salt: 1 }] })
    const writes = await atEveryWrite(
      (at) => syncing({ moment, at }),
      async ({ data }) => {
        const node = await createNode({ rules: crashRules, dataDir: data, seeds: [seed()] })
        try {
          await oneHead([node, other], other.chain.head.height)
        } finally {
          await node.stop()
        }
      }
    )
    expect(writes).toBeGreaterThan(LIVE)
  })

  it('produces on, and has every block that it had told of', async () => {
    const writes = await atEveryWrite(
      (at) => producing({ moment, at }),
      async ({ data }) => {
        const produce = testSeal({ nonce: 2, allow: (height) => height <= LIVE + 1 })
        const node = await createNode({ rules: crashRules, dataDir: data, seeds: [heard.multiaddrs[0]!], produce })
        try {
          const { height, hash } = heard.chain.head
          expect(toHex(node.chain.hashAt(height) ?? new Uint8Array()), `#${height}, which a peer had`).toBe(toHex(hash))
          await oneHead([node, heard], LIVE + 1)
        } finally {
          await node.stop()
          await heard.stop()
        }
      }
    )
    expect(writes).toBeGreaterThan(LIVE)
  })

  /** Who hears of the blocks of the process that produces: new for each. */
  let heard: Node<TestHeader, TestTx>

  async function producing(what: Pick<Crash, 'moment' | 'at'>): Promise<Remains> {
    heard = await createNode({ rules: crashRules })
    return crash({ scenario: 'mine', seed: heard.multiaddrs[0]!, upTo: LIVE, ...what })
  }

  /** Whenever the process has all, there is one more block, `LIVE` times. */
  function syncing(what: Pick<Crash, 'moment' | 'at'>): Promise<Remains> {
    const upTo = other.chain.head.height + LIVE
    return crash({ scenario: 'sync', seed: seed(), upTo, ...what }, (height) => {
      if (height !== other.chain.head.height || height >= upTo) return
      growChain(other.chain, 1)
    })
  }
})
