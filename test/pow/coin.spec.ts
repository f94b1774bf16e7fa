import { Chain, type Located } from 'blockwire/chain'
import {
  account,
  bitsOfWork,
  type CoinHeader,
  type CoinInit,
  type CoinTx,
  coin,
  draftHeader,
  EASIEST,
  ed25519,
  mineHeader,
  miner,
  nextBits,
  type Reward,
  sha256d,
  transfer,
  workOf
} from 'blockwire/pow'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeBlock, splitBlock, txId } from '../../dist/src/chain/block.js'
import { merkleRoot } from '../../dist/src/chain/merkle.js'
import { header } from '../../dist/src/pow/header.js'
import { tx } from '../../dist/src/pow/tx.js'

const GENESIS = 1_000_000_000_000
const alice = ed25519.generate(new Uint8Array(32).fill(1))
const bob = ed25519.generate(new Uint8Array(32).fill(2))
const carol = ed25519.generate(new Uint8Array(32).fill(3))
const MAX = (1n << 64n) - 1n

/** A chain of a coin, its clock in our hand. */
class Bench {
  now = GENESIS + 1_000
  readonly rules
  readonly chain: Chain<CoinHeader, CoinTx>

  constructor(init: Partial<CoinInit> = {}) {
    this.rules = coin({
      network: 'test',
      blockTime: 1_000,
      reward: 100n,
      powLimit: EASIEST,
      genesisTime: GENESIS,
      ...init
    })
    this.chain = new Chain({ rules: this.rules, clock: { now: () => this.now, after: () => () => {} } })
  }

  get height(): number {
    return this.chain.head.height
  }

  reward(to = alice.publicKey, change: Partial<Reward> = {}): Reward {
    return { kind: 'reward', height: this.height + 1, to, name: '', extraNonce: 0, ...change }
  }

  pay(key: typeof alice, to: Uint8Array, amount: bigint, seq: bigint, fee = 0n): CoinTx {
    return transfer(this.chain.genesis.hash, { key, to, amount, seq, fee })
  }

  /** Bytes of a block on `parent`, good but for what its transactions and `change` spoil. */
  block(txs: CoinTx[], change: Partial<CoinHeader> = {}, parent: Located<CoinHeader> = this.chain.head): Uint8Array {
    const bodies = txs.map((one) => tx.encode(one))
    const back = (n: number): Located<CoinHeader> | undefined => {
      let at: Located<CoinHeader> | undefined = parent
      for (let i = 1; i < n && at != null; i++) at = this.chain.locate(at.header.parent)
      return at
    }
    const draft: CoinHeader = {
      version: 1,
      parent: parent.hash,
      root: merkleRoot(bodies.map(txId)),
      time: this.now,
      bits: nextBits({ parent, back }, this.rules.difficulty),
      nonce: 0,
      ...change
    }
    return encodeBlock(header.encode(change.nonce == null ? mineHeader(draft) : draft), bodies)
  }

  /** Adds a block on the head, a block time later. */
  add(txs: CoinTx[], change?: Partial<CoinHeader>) {
    this.now += 1_000
    return this.chain.add(this.block(txs, change))
  }

  /** Mines blocks on the head through the chain's own door, a block time apart. */
  async mine(count: number, to = alice.publicKey, txs: CoinTx[] = []): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.now += 1_000
      const proposed = await this.chain.propose({
        prefix: () => [this.reward(to)],
        txs: txs.map((one) => tx.encode(one)),
        seal: (draft) => ({ header: mineHeader(draftHeader(this.rules, draft, this.now)) })
      })
      expect(proposed?.height).toBe(this.height)
    }
  }

  balance(key: typeof alice) {
    return account(this.chain.state, key.publicKey)
  }
}

const open: Bench[] = []
async function bench(init?: Partial<CoinInit>): Promise<Bench> {
  const made = new Bench(init)
  open.push(made)
  await made.chain.open()
  return made
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((made) => made.chain.close()))
})

describe('coin', () => {
  it('pays the miner of each block', async () => {
    const b = await bench()
    await b.mine(5)
    await b.mine(2, bob.publicKey)
    expect(await b.balance(alice)).toEqual({ balance: 500n, seq: 0n })
    expect(await b.balance(bob)).toEqual({ balance: 200n, seq: 0n })
    expect(b.chain.head.work).toBe(2n * 8n)
  })

  it('moves money by signed transfers, and their fees to the miner', async () => {
    const b = await bench()
    await b.mine(1)
    await b.mine(1, carol.publicKey, [
      b.pay(alice, bob.publicKey, 60n, 0n, 3n),
      b.pay(alice, alice.publicKey, 10n, 1n, 2n),
      b.pay(bob, carol.publicKey, 60n, 0n)
    ])
    expect(await b.balance(alice)).toEqual({ balance: 35n, seq: 2n })
    expect(await b.balance(bob)).toEqual({ balance: 0n, seq: 1n })
    expect(await b.balance(carol)).toEqual({ balance: 165n, seq: 0n })
  })

  it('leaves nothing in the state but accounts', async () => {
    const b = await bench()
    await b.mine(1)
    await b.mine(1, bob.publicKey, [b.pay(alice, bob.publicKey, 1n, 0n, 1n)])
    expect(await b.chain.state.get(new Uint8Array([0x62]))).toBeUndefined()
  })

  const cases: Array<[string, string, (b: Bench) => CoinTx[]]> = [
    ['no reward', 'state', () => []],
    ['a transfer and no reward', 'state', (b) => [b.pay(alice, bob.publicKey, 1n, 0n)]],
    ['two rewards', 'state', (b) => [b.reward(), b.reward(bob.publicKey)]],
    ['a reward that is not first', 'state', (b) => [b.pay(alice, bob.publicKey, 1n, 0n), b.reward()]],
    ['a reward of another height', 'state', (b) => [b.reward(alice.publicKey, { height: b.height })]],
    ['a name with control characters', 'tx', (b) => [b.reward(alice.publicKey, { name: 'a\u001b[2J' })]],
    ['a name that turns text around', 'tx', (b) => [b.reward(alice.publicKey, { name: 'a\u202eb' })]],
    ['a transfer of nothing', 'tx', (b) => [b.reward(), b.pay(alice, bob.publicKey, 0n, 0n)]],
    ['a changed amount', 'tx', (b) => [b.reward(), { ...b.pay(alice, bob.publicKey, 1n, 0n), amount: 2n } as CoinTx]],
    [
      'another’s signature',
      'tx',
      (b) => [b.reward(), { ...b.pay(bob, bob.publicKey, 1n, 0n), from: alice.publicKey } as CoinTx]
    ],
    [
      'a transfer of another chain',
      'tx',
      (b) => [b.reward(), transfer(new Uint8Array(32), { key: alice, to: bob.publicKey, amount: 1n, seq: 0n })]
    ],
    ['more than there is', 'state', (b) => [b.reward(), b.pay(alice, bob.publicKey, 201n, 0n)]],
    ['a fee over what is left', 'state', (b) => [b.reward(), b.pay(alice, bob.publicKey, 200n, 0n, 1n)]],
    ['amounts that would wrap around', 'state', (b) => [b.reward(), b.pay(alice, bob.publicKey, MAX, 0n, MAX)]],
    ['the reward of its own block', 'state', (b) => [b.reward(bob.publicKey), b.pay(bob, alice.publicKey, 1n, 0n)]],
    [
      'a transfer twice',
      'state',
      (b) => [b.reward(), b.pay(alice, bob.publicKey, 1n, 0n), b.pay(alice, bob.publicKey, 1n, 0n)]
    ],
    ['a seq out of turn', 'state', (b) => [b.reward(), b.pay(alice, bob.publicKey, 1n, 1n)]]
  ]
  it.each(cases)('refuses a block with %s', async (_what, reason, make) => {
    const b = await bench()
    await b.mine(2)
    const head = b.chain.head.hash
    expect(await b.add(make(b))).toMatchObject({ result: 'reject', reason })
    expect(b.chain.head.hash).toEqual(head)
    expect(await b.balance(alice)).toEqual({ balance: 200n, seq: 0n })
    expect(await b.add([b.reward()])).toEqual({ result: 'accept' })
  })

  it('refuses a transfer that an earlier block has', async () => {
    const b = await bench()
    await b.mine(1)
    const pay = b.pay(alice, bob.publicKey, 1n, 0n)
    await b.mine(1, carol.publicKey, [pay])
    expect(await b.add([b.reward(carol.publicKey), pay])).toMatchObject({ result: 'reject', reason: 'state' })
  })

  it('refuses balances and fees over 64 bits', async () => {
    const b = await bench({ reward: MAX })
    await b.mine(1)
    expect(await b.add([b.reward()])).toMatchObject({ result: 'reject', reason: 'state' })
    await b.mine(1, bob.publicKey)
    expect(await b.add([b.reward(carol.publicKey), b.pay(alice, bob.publicKey, 1n, 0n)])).toMatchObject({
      result: 'reject',
      reason: 'state'
    })
    const dave = ed25519.generate().publicKey
    expect(await b.add([b.reward(carol.publicKey), b.pay(alice, dave, 1n, 0n, 1n)])).toMatchObject({
      result: 'reject',
      reason: 'state'
    })
    expect(await b.balance(alice)).toEqual({ balance: MAX, seq: 0n })
  })

  it('refuses headers with other bits, another version or too little work', async () => {
    const b = await bench({ powLimit: bitsOfWork(3_000) })
    await b.mine(1)
    const verdict = { result: 'reject', reason: 'header' }
    expect(await b.add([b.reward()], { bits: EASIEST })).toMatchObject({
      ...verdict,
      detail: expect.stringMatching(/^bits 0x207fffff, not 0x/)
    })
    expect(await b.add([b.reward()], { bits: 0, nonce: 1 })).toMatchObject(verdict)
    expect(await b.add([b.reward()], { version: 2 })).toMatchObject({ ...verdict, detail: 'version 2, not 1' })
    // one in three thousand nonces would do
    expect(await b.add([b.reward()], { nonce: 1 })).toMatchObject({ ...verdict, detail: 'too little work' })
    expect(await b.add([b.reward()])).toEqual({ result: 'accept' })
  })

  it('makes blocks harder that come too fast, and easier ones that come too slowly', async () => {
    const b = await bench({ powLimit: bitsOfWork(64), halfLife: 4_000 })
    await b.mine(3)
    expect(b.chain.head.header.bits).toBe(bitsOfWork(64))
    for (let i = 0; i < 8; i++) {
      b.now += 1
      expect(await b.chain.add(b.block([b.reward()]))).toEqual({ result: 'accept' })
    }
    const hard = workOf(b.chain.head.header.bits)
    expect(hard).toBeGreaterThan(150n)
    b.now += 60_000
    await b.mine(2)
    expect(workOf(b.chain.head.header.bits)).toBeLessThan(hard / 2n)
  })

  it('takes the money back when a heavier branch has none of it', async () => {
    const b = await bench()
    await b.mine(1)
    const fork = b.chain.head
    await b.mine(1, carol.publicKey, [b.pay(alice, bob.publicKey, 60n, 0n, 5n)])
    expect((await b.balance(carol)).balance).toBe(105n)
    let parent = fork
    for (let i = 0; i < 2; i++) {
      b.now += 1_000
      const bytes = b.block([b.reward(bob.publicKey, { height: parent.height + 1, extraNonce: 7 })], {}, parent)
      expect(await b.chain.add(bytes)).toEqual({ result: 'accept' })
      parent = b.chain.locate(sha256d(splitBlock(bytes, b.chain.limits).header))!
    }
    expect(b.height).toBe(3)
    expect(await b.balance(alice)).toEqual({ balance: 100n, seq: 0n })
    expect(await b.balance(bob)).toEqual({ balance: 200n, seq: 0n })
    expect(await b.balance(carol)).toEqual({ balance: 0n, seq: 0n })
  })

  it('admits transfers to the pool as they follow one another, and no rewards', async () => {
    const b = await bench()
    await b.mine(1)
    const scratch = await b.chain.scratch()
    const admit = (one: CoinTx) => scratch.admit(one, tx.encode(one))
    expect(await admit(b.reward())).toEqual({ reject: 'a reward comes with its block' })
    expect(await admit(b.pay(alice, bob.publicKey, 50n, 1n))).toMatchObject({ reject: 'seq 1, next is 0' })
    expect(await admit(b.pay(alice, bob.publicKey, 50n, 0n, 1n))).toBe(true)
    expect(await admit(b.pay(alice, bob.publicKey, 50n, 0n, 1n))).toEqual({ ignore: 'seq 0 is used, next is 1' })
    expect(await admit(b.pay(bob, carol.publicKey, 50n, 0n))).toBe(true)
    expect(await admit(b.pay(alice, bob.publicKey, 50n, 1n))).toMatchObject({ reject: '50 to pay, 49 there' })
  })

  it('is another chain with other options', () => {
    const base = { network: 'test', genesisTime: GENESIS }
    const hashes = [
      {},
      { blockTime: 1_000 },
      { reward: 1n },
      { halfLife: 1 },
      { powLimit: EASIEST },
      { genesisTime: GENESIS + 1 }
    ].map((change) => new Chain({ rules: coin({ ...base, ...change }) }).id)
    expect(new Set(hashes).size).toBe(hashes.length)
    expect(new Chain({ rules: coin(base) }).id).toBe(hashes[0])
  })

  it('names the option that cannot be', () => {
    for (const [init, option] of [
      [{ blockTime: 0 }, 'blockTime'],
      [{ halfLife: 0.5 }, 'halfLife'],
      [{ reward: -1n }, 'reward'],
      [{ reward: 1n << 64n }, 'reward'],
      [{ genesisTime: -1 }, 'genesisTime'],
      [{ powLimit: 0 }, 'powLimit'],
      [{ powLimit: 0x04001234 }, 'powLimit']
    ] as const) {
      expect(() => coin({ network: 'test', ...init })).toThrow(expect.objectContaining({ name: 'ConfigError', option }))
    }
  })
})

describe('coin with a miner', () => {
  it('grows by blocks that threads have mined, with transfers of others in them', async () => {
    const b = await bench({ powLimit: bitsOfWork(2_000) })
    const mine = miner({ rules: b.rules, to: carol.publicKey, name: 'Carol', threads: 2 })
    try {
      await b.mine(1)
      b.now = Date.now()
      for (let i = 0; i < 5; i++) {
        const pay = b.pay(alice, bob.publicKey, 10n, BigInt(i), 1n)
        const proposed = await b.chain.propose({
          ...mine,
          txs: [tx.encode(pay)],
          signal: AbortSignal.timeout(20_000)
        })
        expect(proposed?.txs.length).toBe(2)
      }
    } finally {
      await mine.stop()
    }
    expect(b.height).toBe(6)
    expect(await b.balance(alice)).toEqual({ balance: 45n, seq: 5n })
    expect(await b.balance(bob)).toEqual({ balance: 50n, seq: 0n })
    expect(await b.balance(carol)).toEqual({ balance: 505n, seq: 0n })
  })
})
