import type { Connection, PeerId, Startable } from '@libp2p/interface'
import { defaultLogger } from '@libp2p/logger'
import { ACCEPT, ignore, reject, txId, type Verdict } from 'blockwire/chain'
import { type CatchUp, catchUp } from 'blockwire/pool'
import { HandClock } from 'blockwire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import type { PoolRequest } from '../../dist/src/pb/catch-up.js'
import { poolProtocol } from '../../dist/src/pool/catch-up-wire.js'
import { decodeShorts, encodeShorts, SipHash } from '../../dist/src/siphash.js'
import { connect, type Host, settle, startHost, stopHosts, until } from '../protocol/hosts.js'

const CHAIN = 'test-00000000'
const limits = { txBytes: 65_536 }

class FakePool {
  readonly txs = new Map<string, Uint8Array>()
  readonly added: { count: number; quiet: boolean | undefined }[] = []
  verdict: (tx: Uint8Array) => Verdict = () => ACCEPT

  constructor(...txs: Uint8Array[]) {
    for (const tx of txs) this.put(tx)
  }

  put(tx: Uint8Array): void {
    this.txs.set(toHex(txId(tx)), tx)
  }

  get size(): number {
    return this.txs.size
  }

  get bytes(): number {
    return [...this.txs.values()].reduce((sum, { length }) => sum + length, 0)
  }

  ids(): Uint8Array[] {
    return [...this.txs.values()].map(txId)
  }

  get(id: Uint8Array): Uint8Array | undefined {
    return this.txs.get(toHex(id))
  }

  async add(txs: Uint8Array[], { quiet }: { source?: PeerId; quiet?: boolean }) {
    this.added.push({ count: txs.length, quiet })
    return txs.map((tx) => {
      const verdict = this.verdict(tx)
      if (verdict.result === 'accept') this.put(tx.slice())
      return { verdict, id: txId(tx) }
    })
  }
}

class FakeStatus extends EventTarget {
  readonly peers = new Map<string, { peer: PeerId; connection: Connection; role: string }>()

  join(connection: Connection, role = 'full'): void {
    const detail = { peer: connection.remotePeer, connection, role }
    this.peers.set(detail.peer.toString(), detail)
    this.dispatchEvent(new CustomEvent('join', { detail }))
  }

  leave(peer: PeerId): void {
    this.peers.delete(peer.toString())
    this.dispatchEvent(new CustomEvent('leave', { detail: { peer, reason: 'gone' } }))
  }
}

class FakeSync extends EventTarget {
  state = 'live'

  set(state: string): void {
    this.state = state
    this.dispatchEvent(new CustomEvent('state'))
  }
}

/** The service of one host, with siblings made up. */
class Node {
  readonly pool: FakePool
  readonly status = new FakeStatus()
  readonly sync = new FakeSync()
  readonly clock = new HandClock()
  readonly faults: string[] = []
  readonly service: CatchUp & Startable & { afterStart(): void }

  constructor(host: Host, ...txs: Uint8Array[]) {
    this.pool = new FakePool(...txs)
    this.service = catchUp({ clock: this.clock })({
      chain: { id: CHAIN, limits },
      pool: this.pool,
      status: this.status as never,
      sync: this.sync as never,
      peers: {
        heard: () => {},
        fault: (_peer, fault, reason) => void this.faults.push(`${fault} ${reason}`),
        judge: (_peer, verdict, via) => void this.faults.push(`${via} ${verdict.result}`)
      },
      registrar: host.registrar,
      logger: defaultLogger()
    }) as never
  }

  async start(): Promise<void> {
    await this.service.start()
    this.service.afterStart()
  }
}

const tx = (n: number, length = 250): Uint8Array => {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(0, n)
  return bytes
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => tx(from + i))

let a: Host
let b: Host
let out: Connection
let back: Connection
beforeEach(async () => {
  ;[a, b] = await Promise.all([startHost(), startHost()])
  ;({ out, in: back } = await connect(a, b))
})
afterEach(() => stopHosts(a, b))

/** Sessions of a are over. */
async function over(node: Node): Promise<void> {
  await until(() => !node.service.busy, 'the end of the session')
}

describe('catching up', () => {
  it('brings a newcomer all that is pending, in packs, and tells nobody of it', async () => {
    const [newcomer, old] = [new Node(a), new Node(b, ...range(0, 1_500))]
    await Promise.all([newcomer.start(), old.start()])
    newcomer.status.join(out)
    await until(() => newcomer.pool.size === 1_500, 'all that is pending')
    await over(newcomer)
    // 409 of 250 B are 102,250 B, and 410 would be over 100 KiB
    expect(newcomer.pool.added.map(({ count }) => count)).toEqual([409, 409, 409, 273])
    expect(new Set(newcomer.pool.added.map(({ quiet }) => quiet))).toEqual(new Set([true]))
    expect([newcomer.faults, old.faults]).toEqual([[], []])
    await Promise.all([newcomer.service.stop(), old.service.stop()])
    expect([newcomer.clock.pending, old.clock.pending]).toEqual([0, 0])
  })

  it('brings two pools what each lacks, and no more', async () => {
    const [one, other] = [new Node(a, ...range(0, 1_000)), new Node(b, ...range(5, 1_005))]
    await Promise.all([one.start(), other.start()])
    one.status.join(out)
    other.status.join(back)
    await until(() => one.pool.size === 1_005 && other.pool.size === 1_005, 'both pools')
    // these are news to others, too
    expect([one.pool.added, other.pool.added]).toEqual([[{ count: 5, quiet: false }], [{ count: 5, quiet: false }]])
    await Promise.all([over(one), over(other)])
    await Promise.all([one.service.stop(), other.service.stop()])
  })

  it('waits until we are live, and a minute where the other is not', async () => {
    const [newcomer, old] = [new Node(a), new Node(b, tx(1))]
    newcomer.sync.state = 'bodies'
    old.sync.state = 'headers'
    await Promise.all([newcomer.start(), old.start()])
    newcomer.status.join(out)
    expect(newcomer.service.busy).toBe(false)
    newcomer.sync.set('live')
    expect(newcomer.service.busy).toBe(true)
    await over(newcomer)
    expect([newcomer.pool.size, newcomer.clock.due]).toEqual([0, [60_000]])
    old.sync.set('live')
    newcomer.clock.turn(60_000)
    await until(() => newcomer.pool.size === 1, 'what is pending')
    expect([newcomer.faults, old.faults]).toEqual([[], []])
    await Promise.all([newcomer.service.stop(), old.service.stop()])
  })

  it('asks neither light nodes nor seeds, nor twice who has answered', async () => {
    const [newcomer, old] = [new Node(a), new Node(b, tx(1))]
    await Promise.all([newcomer.start(), old.start()])
    newcomer.status.join(out, 'light')
    newcomer.status.join(out, 'seed')
    expect([newcomer.service.busy, newcomer.clock.pending]).toEqual([false, 0])
    newcomer.status.join(out)
    await until(() => newcomer.pool.size === 1, 'what is pending')
    await over(newcomer)
    newcomer.clock.turn(120_000)
    expect([newcomer.service.busy, newcomer.clock.pending]).toEqual([false, 0])
    await Promise.all([newcomer.service.stop(), old.service.stop()])
  })

  it('ends when the pool is full, and charges who has what no rule allows', async () => {
    const [newcomer, old] = [new Node(a), new Node(b, ...range(0, 1_000))]
    newcomer.pool.verdict = () => ignore('full')
    await Promise.all([newcomer.start(), old.start()])
    newcomer.status.join(out)
    await until(() => newcomer.pool.added.length > 0, 'a pack')
    await over(newcomer)
    expect([newcomer.pool.added.length, newcomer.faults]).toEqual([1, []])
    newcomer.pool.verdict = () => reject('tx')
    newcomer.status.leave(b.libp2p.peerId)
    for (const { clock } of [newcomer, old]) clock.turn(60_000)
    newcomer.status.join(out)
    await until(() => newcomer.pool.added.length > 1, 'another pack')
    await over(newcomer)
    expect([newcomer.pool.added.length, newcomer.faults]).toEqual([2, ['sync reject']])
    await Promise.all([newcomer.service.stop(), old.service.stop()])
  })

  it('can be left at any time: by the end of the peer, and of ourselves', async () => {
    const newcomer = new Node(a)
    const asked = Promise.withResolvers<void>()
    const unserve = await poolProtocol(limits, newcomer.clock).serve(
      b.registrar,
      CHAIN,
      async function* (_, { signal }) {
        asked.resolve()
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        yield* []
      },
      { onFault: () => {} }
    )
    await newcomer.start()
    newcomer.status.join(out)
    await asked.promise
    newcomer.status.leave(b.libp2p.peerId)
    await over(newcomer)
    newcomer.clock.turn(60_000)
    newcomer.status.join(out)
    expect(newcomer.service.busy).toBe(true)
    await newcomer.service.stop()
    await over(newcomer)
    expect([newcomer.faults, newcomer.clock.pending]).toEqual([[], 0])
    await unserve()
  })
})

describe('whoever serves what is pending wrongly', () => {
  /** A peer that answers so. */
  async function liar(answer: (request: PoolRequest) => (Uint8Array | Uint8Array[])[] | 'cut'): Promise<Node> {
    const newcomer = new Node(a)
    await poolProtocol(limits, newcomer.clock).serve(
      b.registrar,
      CHAIN,
      async function* (request) {
        const items = answer(request)
        if (items === 'cut') return 'more'
        yield* items
        return undefined
      },
      { onFault: () => {} }
    )
    await newcomer.start()
    newcomer.status.join(out)
    await until(() => newcomer.service.busy || newcomer.clock.pending > 0, 'a session')
    await over(newcomer)
    await settle()
    await newcomer.service.stop()
    return newcomer
  }
  const shorts =
    (...txs: Uint8Array[]) =>
    (salt: Uint8Array) => {
      const sip = new SipHash(salt)
      return encodeShorts(txs.map((each) => sip.short(txId(each))))
    }

  it.each<[string, (request: PoolRequest) => (Uint8Array | Uint8Array[])[] | 'cut', string[]]>([
    ['half a short ID', () => [new Uint8Array(7)], ['protocol a page of 7 bytes']],
    [
      'a transaction that was not asked for',
      ({ ids, txs }) => (ids == null ? (txs == null ? [] : [tx(9)]) : [shorts(tx(1))(ids.salt)]),
      ['protocol a transaction that was not asked for']
    ],
    [
      'transactions in another order',
      ({ ids }) => (ids == null ? [[tx(2), tx(1)]] : [shorts(tx(1), tx(2))(ids.salt)]),
      ['protocol a transaction that was not asked for']
    ],
    [
      'an answer that is cut before it begins',
      ({ ids }) => (ids == null ? 'cut' : [shorts(tx(1))(ids.salt)]),
      ['protocol an answer that is cut before it begins']
    ],
    ['nothing of what it has', ({ ids }) => (ids == null ? [] : [shorts(tx(1))(ids.salt)]), []],
    ['one short ID many times', ({ ids }) => (ids == null ? [tx(1)] : [shorts(tx(1), tx(1), tx(1))(ids.salt)]), []]
  ])('as %s', async (_, answer, faults) => {
    const newcomer = await liar(answer)
    expect(newcomer.faults).toEqual(faults)
    expect(newcomer.pool.size).toBeLessThan(2)
  })

  it('is asked for no more than it said to have, and not again when it has not', async () => {
    const asked: number[] = []
    await liar(({ ids, txs }) => {
      if (txs != null) asked.push(decodeShorts(txs.ids).length)
      return ids == null ? [] : [shorts(...range(0, 1_024))(ids.salt), shorts(...range(1_024, 1_500))(ids.salt)]
    })
    expect(asked).toEqual([1_024, 476])
  })
})
