import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Chain, sha256, toHex } from 'blockwire/chain'
import { type TestHeader, testRules, until } from 'blockwire/testing'
import { afterEach, expect, it } from 'vitest'
import { chainOf, type Host, host, join, liveAt, rules, stopAll, type TestChain } from '../sync/hosts.js'

afterEach(stopAll)

const MIB = 1 << 20
const HEADERS = 1_000_000
/** Headers behind which all is compiled and every buffer has its size. */
const WARM = 100_000

/** Serves headers without work that it makes while it is asked, and remembers only where its answers ended. */
function spammer(chain: TestChain): Record<string, unknown> {
  const ends = new Map<string, number>([[toHex(chain.genesis.hash), 0]])
  const hashes = new Map<number, Uint8Array>([[0, chain.genesis.hash]])
  const genesis: TestHeader = { ...chain.genesis.header, parent: chain.genesis.hash }
  let next = { ...genesis }
  return {
    head: { hash: new Uint8Array(32).fill(9), height: HEADERS, work: 1n << 80n },
    locate: (hash: Uint8Array) => {
      const height = ends.get(toHex(hash))
      return height == null ? undefined : { hash, height, work: 0n, header: genesis }
    },
    hashAt: (height: number) => hashes.get(height) ?? new Uint8Array(32),
    async *headers(from: number, to: number) {
      if (from === 1) next = { ...genesis }
      let page: Uint8Array[] = []
      for (let height = from; height <= to; height++) {
        next.time++
        const bytes = rules.header.encode(next)
        next.parent = sha256(bytes)
        page.push(bytes)
        if (page.length < 500 && height < to) continue
        yield page
        page = []
      }
      ends.set(toHex(next.parent), to)
      hashes.set(to, next.parent)
    }
  }
}

it('a peer with a million low-work headers costs less than 1 MiB, and keeps nobody from the honest chain', async () => {
  const own: TestChain = new Chain({ rules: testRules({ minimumWork: 1_000_000n }) })
  await own.open()
  const late = await host({ chain: own })
  const liarChain = await chainOf(0)
  const disguise = spammer(liarChain)
  const liar = await host({ chain: liarChain, disguise, claim: disguise.head as never })
  await join(late, liar)
  await until('the first headers', () => checked(late, liar) >= WARM, 120_000)
  const before = await least()
  await until('almost all headers', () => checked(late, liar) >= HEADERS - 50_000, 200_000)
  const after = await least()
  console.log(`${checked(late, liar)} low-work headers: ${after - before} bytes more than ${WARM}`)
  expect(checked(late, liar)).toBeGreaterThanOrEqual(HEADERS - 50_000)
  expect(after - before).toBeLessThan(MIB)
  expect(own.target.height).toBe(0)

  const honest = await host({ chain: await chainOf(300, () => ({ weight: 5_000 })) })
  await join(late, honest)
  await liveAt(late, 300)
  expect(own.head.hash).toEqual(honest.chain.head.hash)
  expect(late.peers.charged).toEqual([])
})

function checked(node: Host, of: Host): number {
  return node.sync.explain().sources.find(({ peer }) => peer === of.id)?.presync?.headers ?? 0
}

/** Bytes in use once everything else is collected: the least of a few looks, because traffic goes on meanwhile. */
async function least(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  let bytes = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    collect()
    collect()
    bytes = Math.min(bytes, getHeapStatistics().used_heap_size + process.memoryUsage().arrayBuffers)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return bytes
}
