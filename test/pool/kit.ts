import { defaultLogger } from '@libp2p/logger'
import { peerIdFromString } from '@libp2p/peer-id'
import { Chain, type Database, type PoolRules, type Rules, type Verdict } from 'blockwire/chain'
import type { TopicMessage, TopicOptions } from 'blockwire/gossip'
import { encodeBatch, type Pool, type PoolInit, pool, splitBatch } from 'blockwire/pool'
import { buildBlock, HandClock, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import { MemoryLevel } from 'memory-level'
import { expect } from 'vitest'

export const PEERS = [
  '12D3KooWBNj9A5cKXeGrPgPGNDPtRJDjfHJmvTNMPtKbqZLSLqCa',
  '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
].map((id) => peerIdFromString(id))

/**
 * Fee = salt. A key like `ana/3` is the third of the sender `ana`; `once` conflicts with any other of its key.
 */
export const hooks: PoolRules<TestTx> = {
  fee: ({ salt }) => BigInt(salt),
  order: ({ key }) => {
    const [, sender, sequence] = /^(\w+)\/(\d+)$/.exec(key) ?? []
    return sender == null ? undefined : { sender: new TextEncoder().encode(sender), sequence: BigInt(sequence!) }
  },
  conflicts: ({ kind, key }) => (kind === 'once' ? [new TextEncoder().encode(key)] : [])
}

export const tx = (key: string, fee = 0, kind: TestTx['kind'] = 'set', value = 'x'): TestTx => ({
  key,
  value,
  salt: fee,
  kind
})

export interface Bench {
  chain: Chain<TestHeader, TestTx>
  pool: Pool<TestTx>
  clock: HandClock
  /** What was published: keys of each batch. */
  published: string[][]
  /** Who takes part in the topic. */
  peers: string[]
  /** Events of the pool. */
  events: string[]
  /** A batch as it comes over the topic. */
  receive(txs: TestTx[], from?: number): Promise<Verdict>
  /** Adds a block with these on the head, or on another one. */
  mine(txs: TestTx[], on?: { parent?: Chain<TestHeader, TestTx>['head']; weight?: number }): ReturnType<typeof mineOn>
  /** Keys in the order in which a block would take them. */
  order(maxBytes?: number): string[]
  /** Adds own ones, which must be accepted. */
  own(...txs: TestTx[]): Promise<void>
  stop(): Promise<void>
}

export interface BenchInit extends PoolInit {
  db?: Database
  rules?: Rules<TestHeader, TestTx>
}

export function database(): Database {
  return new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
}

/** Genesis time now: blocks of these tests are fresh. */
const base = testRules({ genesisTime: Date.now() - 60_000 })

async function mineOn(
  chain: Chain<TestHeader, TestTx>,
  txs: TestTx[],
  { parent = chain.head, weight = 1 }: { parent?: Chain<TestHeader, TestTx>['head']; weight?: number } = {}
): Promise<ReturnType<typeof buildBlock>> {
  // a thousand of them must not reach into the future
  const block = buildBlock(chain.rules, parent, { txs, weight, time: parent.header.time + 1 })
  expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
  return block
}

/** A started pool on a chain of its own, with a topic that leads nowhere and a clock that is turned by hand. */
export async function bench({ db, rules = { ...base, pool: hooks }, ...init }: BenchInit = {}): Promise<Bench> {
  const clock = new HandClock(Date.now())
  const chain = new Chain<TestHeader, TestTx>({ rules, ...(db == null ? {} : { db }) })
  await chain.open()
  let validate: NonNullable<TopicOptions['validate']> | undefined
  const published: string[][] = []
  const peers: string[] = []
  const keyOf = (bytes: Uint8Array): string => chain.rules.tx.decode(bytes).key
  const topic = {
    name: 'txs',
    peers,
    async publish(data: Uint8Array) {
      published.push(splitBatch(data, chain.limits.txBytes).map(keyOf))
      return { recipients: peers.length }
    },
    close() {},
    addEventListener() {},
    removeEventListener() {}
  }
  const gossip = {
    topic(_name: string, options: TopicOptions) {
      validate = options.validate
      return topic
    }
  }
  const service = pool<TestTx>({ clock, ...init })({ chain, gossip: gossip as never, logger: defaultLogger() })
  const lifecycle = service as Pool<TestTx> & { start(): Promise<void>; stop(): Promise<void> }
  const events: string[] = []
  service.addEventListener('add', ({ detail }) => events.push(`add ${keyOf(service.get(detail.id)!)}`))
  service.addEventListener('remove', ({ detail }) => events.push(`remove ${detail.why}`))
  await lifecycle.start()
  return {
    chain,
    pool: service,
    clock,
    published,
    peers,
    events,
    async receive(txs, from = 0) {
      const message: TopicMessage = {
        data: encodeBatch(txs.map((each) => rules.tx.encode(each))),
        from: PEERS[from]!,
        topic: 'txs'
      }
      return await validate!(message, { signal: new AbortController().signal })
    },
    mine: (txs, on) => mineOn(chain, txs, on),
    order: (maxBytes = 1_000_000) => service.select({ maxBytes }).map(keyOf),
    async own(...txs) {
      for (const { verdict } of await service.add(txs)) expect(verdict).toEqual({ result: 'accept' })
    },
    stop: () => lifecycle.stop()
  }
}

/** Everything that was asked of the pool so far is done. */
export async function settled({ pool }: Bench): Promise<void> {
  // runs behind it in the queue, and is refused by the rules
  const { verdict } = await pool.add(tx('settled', 0, 'fail'))
  expect(verdict).toMatchObject({ result: 'ignore', reason: expect.stringMatching(/^(state|full)$/) })
}
