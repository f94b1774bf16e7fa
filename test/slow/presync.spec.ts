import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Chain, sha256, toHex } from 'blockwire/chain'
import { type TestHeader, testRules, until } from 'blockwire/testing'
import { afterEach, expect, it } from 'vitest'
import { chainOf, type Host, host, join, rules, stopAll, type TestChain } from '../sync/hosts.js'

afterEach(stopAll)

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

const MIB = 1 << 20
const HEADERS = 1_000_000
/** What the liar claims, so that it is not at its end when we look. */
const CLAIMED = 3 * HEADERS
/** Headers behind which all is compiled and every buffer has its size. */
const WARM = 100_000

/** Hashes that the liar remembers, so that it can go on wherever an answer broke off. */
const RECENT = 20_000

/** Holds the liar up. */
interface Gate {
  open: Promise<void>
  /** Called when it stands before the gate, with the height of the last header that went through. */
  reached(height: number): void
}

/** Serves headers without work that it makes while it is asked. */
function spammer(chain: TestChain, gate: Gate): Record<string, unknown> {
  const genesis: TestHeader = { ...chain.genesis.header, parent: chain.genesis.hash }
  const heights = new Map<string, number>([[toHex(chain.genesis.hash), 0]])
  const hashes = new Map<number, Uint8Array>([[0, chain.genesis.hash]])
  const unknown = new Uint8Array(32)
  /** Not to be known before the answer that ends there is out, or it would look like a reorganisation. */
  let pending = 0
  return {
    head: { hash: new Uint8Array(32).fill(9), height: CLAIMED, work: 1n << 80n },
    locate: (hash: Uint8Array) => {
      const height = heights.get(toHex(hash))
      return height == null ? undefined : { hash, height, work: 0n, header: genesis }
    },
    hashAt: (height: number) => (height > 0 && height === pending ? unknown : (hashes.get(height) ?? unknown)),
    async *headers(from: number, to: number) {
      let parent = hashes.get(from - 1)
      if (parent == null) return
      pending = to
      let page: Uint8Array[] = []
      for (let height = from; height <= to; height++) {
        const bytes = rules.header.encode({ ...genesis, parent, time: genesis.time + height })
        parent = sha256(bytes)
        heights.set(toHex(parent), height)
        hashes.set(height, parent)
        const old = height - RECENT
        if (old > 0) {
          heights.delete(toHex(hashes.get(old) ?? unknown))
          hashes.delete(old)
        }
        page.push(bytes)
        if (page.length < 500 && height < to) continue
        gate.reached(height - page.length)
        await gate.open
        yield page
        page = []
      }
      pending = 0
    }
  }
}

it('a peer with a million low-work headers costs less than 1 MiB, and keeps nobody from the honest chain', async () => {
  const own: TestChain = new Chain({ rules: testRules({ minimumWork: 10_000_000n }) })
  await own.open()
  const late = await host({ chain: own })
  const liarChain = await chainOf(0)
  const gate: Gate = { open: Promise.resolve(), reached: () => {} }
  const disguise = spammer(liarChain, gate)
  const liar = await host({ chain: liarChain, disguise, claim: disguise.head as never })
  await join(late, liar)
  await until('the first headers', () => checked(late, liar) >= WARM, 120_000)
  const before = await inUse(gate, () => checked(late, liar))
  await until('a million headers', () => checked(late, liar) >= HEADERS, 200_000)
  const after = await inUse(gate, () => checked(late, liar))
  console.log(`${checked(late, liar)} low-work headers: ${after - before} bytes more than ${WARM}`)
  expect(checked(late, liar)).toBeGreaterThanOrEqual(HEADERS)
  expect(after - before).toBeLessThan(MIB)
  expect(own.target.height).toBe(0)

  const honest = await host({ chain: await chainOf(300, () => ({ weight: 50_000 })) })
  await join(late, honest)
  // it may be looked into for a minute more before we are live: that is what a claim may cost
  await until('the honest chain', () => own.head.height === 300, 60_000)
  expect(own.head.hash).toEqual(honest.chain.head.hash)
  expect(late.peers.charged).toEqual([])
})

function checked(node: Host, of: Host): number {
  return node.sync.explain().sources.find(({ peer }) => peer === of.id)?.presync?.headers ?? 0
}

/** Bytes in use once everything else is collected, while nothing is sent and all that was sent is `checked`. */
async function inUse(gate: Gate, checked: () => number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>()
  gate.open = promise
  let sent = Number.POSITIVE_INFINITY
  gate.reached = (height) => {
    sent = height
  }
  await until('all that was sent to be checked', () => checked() >= sent)
  let bytes = Number.POSITIVE_INFINITY
  // timers and native buffers let go a moment later, and nothing tells of it: without the pauses 1 MB more was found
  for (let i = 0; i < 5; i++) {
    await new Promise((done) => setTimeout(done, 200))
    collect()
    collect()
    bytes = Math.min(bytes, getHeapStatistics().used_heap_size + process.memoryUsage().arrayBuffers)
  }
  resolve()
  return bytes
}
