import type { PeerId } from '@libp2p/interface'
import { Chain, type Located, toHex } from 'blockwire/chain'
import { type Blocks, blocks } from 'blockwire/gossip'
import { status } from 'blockwire/status'
import { type Sync, type SyncChain, type SyncComponents, sync } from 'blockwire/sync'
import {
  buildBlock,
  buildChain,
  HandClock,
  type TestBlock,
  type TestHeader,
  type TestTx,
  testRules
} from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { changed, type Host, host, meshed, until } from './hosts.js'

const rules = testRules()
const genesis = new Chain({ rules }).genesis

interface FullHost extends Host {
  chain: Chain<TestHeader, TestTx>
  blocks: Blocks
  sync: Sync
  /** What its sync was asked for. */
  asked: string[]
}

interface FullInit {
  /** What its sync serves in place of parts of its chain. */
  serves?(chain: Chain<TestHeader, TestTx>): Partial<SyncChain>
  /** Of its blocks service. */
  clock?: HandClock
  /** What `fetchBranch` does, where it is not to be the real one. */
  fetch?(): Promise<boolean>
  /** No sync and no status: it hears of nothing but by gossip. */
  gossipOnly?: boolean
}

/** Gossip, status, sync and a chain; no peers service. */
async function fullHost(init: FullInit = {}): Promise<FullHost> {
  const chain = new Chain<TestHeader, TestTx>({ rules })
  for (const event of ['head', 'target', 'block'] as const) chain.addEventListener(event, changed)
  const asked: string[] = []
  const served: SyncChain = Object.assign(Object.create(chain) as object, init.serves?.(chain)) as never
  const service = (components: SyncComponents) => {
    const real = sync()(Object.assign(Object.create(components) as SyncComponents, { chain: bound(chain, served) }))
    const fetchBranch = real.fetchBranch.bind(real)
    real.fetchBranch = async (hash: Uint8Array, from: PeerId, options: { signal: AbortSignal }) => {
      asked.push(`${toHex(hash)} ${from}`)
      changed()
      return init.fetch?.() ?? fetchBranch(hash, from, options)
    }
    return real
  }
  const made = await host({
    chain,
    services: {
      ...((init.gossipOnly ? {} : { status: status(), sync: service }) as Record<string, never>),
      blocks: blocks(init.clock == null ? {} : { clock: init.clock as never }) as never
    }
  })
  const { services } = made.libp2p
  return { ...made, chain, asked, blocks: services.blocks as Blocks, sync: services.sync as Sync }
}

/** The chain as sync sees it: its own methods, those of `parts` first. */
function bound(chain: object, parts: object): SyncChain {
  return new Proxy(chain, {
    get(target, name) {
      if (Object.hasOwn(parts, name)) return Reflect.get(parts, name)
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  }) as SyncChain
}

/** Each joined to the one before, and in its mesh. */
async function line(...hosts: FullHost[]): Promise<void> {
  for (let i = 1; i < hosts.length; i++) await hosts[i]!.libp2p.dial(hosts[i - 1]!.libp2p.getMultiaddrs())
  await meshed('blocks', ...hosts)
  const full = hosts.filter(({ sync }) => sync != null)
  await until('the handshakes', () => full.every(({ sync }) => full.length < 2 || sync.explain().sources.length > 0))
}

const bytesOf = (list: TestBlock[]): Uint8Array[] => list.map(({ bytes }) => bytes)
const nowhere: Located<TestHeader> = { ...genesis, hash: new Uint8Array(32).fill(0xaa), height: 50 }

describe('a block whose parents only its sender has', () => {
  it('reaches by gossip whoever is behind us, once the parents are fetched and imported', async () => {
    const row = buildChain(rules, genesis, 6)
    const [a, b, c] = [await fullHost(), await fullHost(), await fullHost({ gossipOnly: true })]
    await c.chain.addBlocks(bytesOf(row.slice(0, 5)))
    await line(a, b, c)
    // a side branch for b's status, so that the orphan is all that it hears of
    await b.chain.addBlocks(bytesOf(buildChain(rules, genesis, 9, () => ({ nonce: 5 }))))
    await a.chain.addBlocks(bytesOf(row))
    await a.blocks.publish(row[5]!.bytes)
    await until('c to get it through b', () => c.chain.head.height === 6)
    expect(b.chain.has(row[4]!.hash)).toBe('body')
    expect(b.asked).toEqual([`${toHex(row[4]!.hash)} ${a.libp2p.peerId}`])
    expect(new Set(b.judge.results)).toEqual(new Set(['accept']))
    expect([b.judge.faults, c.judge.faults]).toEqual([[], []])
  })

  it('is left to the head announcement when they do not come within 25 s', async () => {
    const row = buildChain(rules, genesis, 6)
    const clock = new HandClock()
    const [a, b] = [await fullHost(), await fullHost({ clock, fetch: () => new Promise(() => {}) })]
    await line(a, b)
    // nobody is told of them before the orphan was given up
    await a.blocks.publish(row[5]!.bytes)
    await until('b to look for its parent', () => b.asked.length === 1)
    clock.turn(25_000)
    await until('b to judge it', () => b.judge.results.length === 1)
    expect(b.judge.results).toEqual(['ignore unknown-parent'])
    await a.chain.addBlocks(bytesOf(row))
    await until('b to have it', () => b.chain.head.height === 6)
  })

  it('with parents of another branch that leaves our chain above our head: links all the same', async () => {
    const main = buildChain(rules, genesis, 20)
    const side = buildChain(rules, main[14]!.located, 3, () => ({ nonce: 7 }))
    const [a, b] = [await fullHost(), await fullHost()]
    await a.chain.addBlocks(bytesOf(main.slice(0, 10)))
    await b.chain.addBlocks(bytesOf(main.slice(0, 10)))
    await line(a, b)
    const silent = buildChain(rules, genesis, 30, () => ({ nonce: 8 }))
    // b's own chain is the longer one: it syncs nothing from a
    await b.chain.addBlocks(bytesOf(silent))
    await a.chain.addBlocks(bytesOf(main.slice(10)))
    await a.chain.addBlocks(bytesOf(side.slice(0, 2)))
    await a.chain.add(side[2]!.bytes)
    await a.blocks.publish(side[2]!.bytes)
    await until('b to have the branch', () => b.chain.has(side[2]!.hash) === 'body')
    expect(b.judge.faults).toEqual([])
  })
})

describe('made-up parents', () => {
  it('1,000 that link to nothing stop at the first page, and cost the sender', async () => {
    const made = buildChain(rules, nowhere, 1_000)
    const a = await fullHost({
      serves: (chain) => ({
        locate: (hash) => made.find((block) => toHex(block.hash) === toHex(hash))?.located ?? chain.locate(hash),
        has: (hash) => (made.some((block) => toHex(block.hash) === toHex(hash)) ? 'body' : chain.has(hash)),
        branch: () => made.slice(0, -1).map(({ headerBytes }) => headerBytes)
      })
    })
    const [b, honest] = [await fullHost(), await fullHost()]
    await line(a, b, honest)
    await a.blocks.publish(made.at(-1)!.bytes)
    await until('a fault of the sender', () => b.judge.faults.length > 0)
    expect(b.judge.faults).toEqual([`${a.libp2p.peerId} headers that link to nothing`])
    expect(b.blocks.held.blocks).toBe(1)
    expect(b.chain.target.height).toBe(0)
    for (const { hash } of made) expect(b.chain.has(hash)).toBeUndefined()
  })

  it('each as a block of its own: 8 are held, and nobody else is asked for what its sender denies', async () => {
    const [a, b, honest] = [await fullHost(), await fullHost(), await fullHost()]
    await line(a, b, honest)
    const made = buildChain(rules, nowhere, 400)
    let most = 0
    // from the top down, so that each is the parent of the one before
    for (const { bytes } of made.reverse()) {
      await a.blocks.publish(bytes)
      most = Math.max(most, b.blocks.held.blocks)
    }
    await until('b to let go of all but 8', () => b.judge.results.length === 392)
    expect(new Set(b.judge.results)).toEqual(new Set(['ignore full']))
    expect(b.blocks.held.blocks).toBe(8)
    expect(most).toBeLessThanOrEqual(8)
    await until('a fault of the sender', () => b.judge.faults.length > 0)
    const why = 'it does not know the parent of a block that it sent'
    expect(new Set(b.judge.faults)).toEqual(new Set([`${a.libp2p.peerId} ${why}`]))
    expect(b.asked.every((request) => request.endsWith(a.libp2p.peerId.toString()))).toBe(true)
    expect(honest.judge.faults).toEqual([])
  })
})

describe('a block that stands on an invalid one', () => {
  it('is refused with all that stand on it as soon as that is known, and not after 25 s', async () => {
    const [a, b] = [await fullHost(), await fullHost({ fetch: () => new Promise(() => {}) })]
    await line(a, b)
    const bad = buildBlock(rules, genesis, { txs: [{ kind: 'fail', key: 'k', value: '', salt: 0 }] })
    const [first, second, third] = buildChain(rules, bad.located, 3)
    await a.blocks.publish(third!.bytes)
    await a.blocks.publish(second!.bytes)
    await until('b to hold both', () => b.blocks.held.blocks === 2)
    await b.chain.add(bad.bytes)
    expect(b.chain.has(bad.hash)).toBe('invalid')
    await a.blocks.publish(first!.bytes)
    await until('b to judge all', () => b.judge.results.length === 3)
    expect(new Set(b.judge.results)).toEqual(new Set(['reject known-invalid']))
    expect(b.blocks.held).toEqual({ blocks: 0, bytes: 0 })
  })
})
