import { ACCEPT, ignore, type Verdict } from '../../dist/src/chain/verdict.js'
import type { Clock } from '../../dist/src/clock.js'
import { toHex } from '../../dist/src/hex.js'
import { HeaderIntake } from '../../dist/src/sync/header-intake.js'
import { Planner } from '../../dist/src/sync/planner.js'
import type { SyncBlock, SyncMinimum, SyncWalk } from '../../dist/src/sync/port.js'
import { type Block, World } from './simulation.js'

/** What a peer of the simulation does when it is asked for headers. */
export type Manner =
  | 'honest'
  /** Says that its headers end half-way. */
  | 'ender'
  /** From the second time on that it is asked from the start it has half of them only. */
  | 'shrinker'
  /** From the second time on it serves another chain, of little work. */
  | 'swapper'
  /** One header every 4.9 s. */
  | 'slow'
  /** Answers of one header each, and always more to come. */
  | 'dripper'
  /** Answers nothing. */
  | 'silent'
  /** Headers that do not follow what was asked for. */
  | 'jumper'

interface Peer {
  manner: Manner
  tip: Block
  /** What it serves when it does not serve its own chain. */
  other: Block
  starts: number
}

type Claim = Pick<SyncBlock, 'hash' | 'height' | 'work'>

const PAGE = 2_000
const FRAME = 500

/** A chain of headers alone: whatever is known is applied. Its headers are the numbers of blocks of a world. */
class HeaderChain {
  readonly known = new Set<Block>()
  readonly rules = {}
  readonly limits = { headerBytes: 80, blockBytes: 1 << 20, txBytes: 1, futureMs: 0 }
  head: Block

  constructor(
    readonly world: World,
    readonly minimum: SyncMinimum
  ) {
    this.head = world.genesis
    this.known.add(this.head)
  }

  get target(): Block {
    return this.head
  }

  get threshold(): SyncMinimum {
    const near = this.head.work - 144n * (this.head.work - (this.head.parent?.work ?? 0n))
    return { work: near > this.minimum.work ? near : this.minimum.work, height: 0 }
  }

  has(hash: Uint8Array): 'valid' | undefined {
    return this.locate(hash) == null ? undefined : 'valid'
  }

  locate(hash: Uint8Array): Block | undefined {
    const block = this.world.byKey.get(toHex(hash))
    return block != null && this.known.has(block) ? block : undefined
  }

  missing(): Block[] {
    return []
  }

  locator(from: Block = this.head): Uint8Array[] {
    const hashes: Uint8Array[] = []
    for (let at: Block | undefined = from; at != null; at = at.parent) hashes.push(at.hash)
    return hashes
  }

  walk(header: Uint8Array): SyncWalk | undefined {
    const parent = blockOf(this.world, header).parent
    if (parent == null || !this.known.has(parent)) return undefined
    let last = parent
    const { world } = this
    return {
      get last() {
        return placeOf(last)
      },
      add(bytes): Verdict {
        const block = blockOf(world, bytes)
        if (block.parent !== last) return ignore('unknown-parent')
        last = block
        return ACCEPT
      }
    }
  }

  async addHeaders(headers: Uint8Array[]) {
    let added = 0
    let last: Block | undefined
    for (const header of headers) {
      const block = blockOf(this.world, header)
      if (!this.known.has(block.parent!)) return { verdict: ignore('unknown-parent'), added, last }
      if (!this.known.has(block)) added++
      this.known.add(block)
      if (block.work > this.head.work) this.head = block
      last = block
    }
    return { verdict: ACCEPT, added, last }
  }
}

/** Peers that serve headers, around a planner and the way headers take, with a clock turned by hand. */
export class LightSimulation {
  time = 10_000_000
  readonly chain: HeaderChain
  readonly planner: Planner
  readonly charged = new Set<string>()
  readonly states = new Set<string>()
  /** Headers that were sent. */
  served = 0
  /** Most bytes of presync held at once. */
  most = 0
  readonly #intake: HeaderIntake
  readonly #peers = new Map<string, Peer>()
  #events: { at: number; run: () => unknown }[] = []
  readonly #aborts = new Map<number, AbortController>()

  constructor(
    readonly world: World,
    minimum: bigint
  ) {
    this.chain = new HeaderChain(world, { work: minimum, height: 0 })
    this.planner = new Planner(this.chain as never, () => this.time)
    let salts = 0
    const clock = { now: () => this.time } as Clock
    this.#intake = new HeaderIntake(this.chain as never, clock, () => new Uint8Array(32).fill(++salts))
  }

  /** `claim`: what it says to have, if that is not its tip. */
  join(id: string, manner: Manner, tip: Block, { other = tip, claim = tip as Claim } = {}): void {
    this.#peers.set(id, { manner, tip, other, starts: 0 })
    this.planner.offer({
      id,
      role: 'full',
      lowest: 0,
      head: { hash: claim.hash, height: claim.height, work: claim.work }
    })
  }

  leave(id: string): void {
    this.#peers.delete(id)
    this.planner.leave(id)
  }

  at(ms: number, run: () => unknown): void {
    this.#events.push({ at: this.time + ms, run })
  }

  /** Turns the clock until `condition` holds. Answers whether it came to hold within `ms`. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    const end = this.time + ms
    for (;;) {
      this.#decide()
      if (condition()) return true
      this.#events.sort((a, b) => a.at - b.at)
      const next = Math.min(this.#events[0]?.at ?? Number.POSITIVE_INFINITY, this.time + 1_000, this.planner.wakeAt())
      if (next > end) return false
      this.time = Math.max(this.time, next)
      const due = this.#events.filter(({ at }) => at <= this.time)
      this.#events = this.#events.filter(({ at }) => at > this.time)
      for (const { run } of due) {
        await run()
        this.#decide()
      }
    }
  }

  #decide(): void {
    for (const action of this.planner.evaluate()) {
      if (action.do === 'headers') this.#ask(action.id, action.peer, action.from?.hash)
      else if (action.do === 'cancel') this.#aborts.get(action.id)?.abort()
      else if (action.do === 'fault' && action.fault === 'protocol') this.charged.add(action.peer)
      else if (action.do === 'judge' && action.verdict.result === 'reject') this.charged.add(action.peer)
    }
    this.states.add(this.planner.state)
    let held = 0
    for (const { presync } of this.planner.sources.values()) held += presync?.bytes ?? 0
    this.most = Math.max(this.most, held)
  }

  #ask(id: number, name: string, from: Uint8Array | undefined): void {
    const peer = this.#peers.get(name)
    const abort = new AbortController()
    this.#aborts.set(id, abort)
    const start = from == null ? undefined : this.chain.locate(from)
    const { locator, take } = this.#intake.way(this.planner.sources.get(name), start as never, abort.signal)
    const open = (run: () => unknown) => () => (abort.signal.aborted ? undefined : run())
    if (peer == null || peer.manner === 'silent') {
      this.at(
        20_000,
        open(() => this.planner.failed(id, { name: 'TimeoutError' }))
      )
      return
    }
    const { headers, more } = this.#answer(peer, locator)
    const slow = peer.manner === 'slow'
    const frame = slow ? 1 : FRAME
    let at = 20
    for (let i = 0; i < headers.length && (!slow || i < 20); i += frame) {
      const items = headers.slice(i, i + frame)
      at += slow ? 4_900 : 5
      this.at(
        at,
        open(async () => {
          this.served += items.length
          const taken = await take(items)
          this.planner.headers(id, { count: items.length, bytes: items.length * 80, ...taken })
        })
      )
    }
    if (slow)
      this.at(
        at + 5_000,
        open(() => this.planner.failed(id, { name: 'TimeoutError' }))
      )
    else
      this.at(
        at + 1,
        open(() => this.planner.done(id, more))
      )
  }

  #answer(peer: Peer, locator: Uint8Array[]): { headers: Uint8Array[]; more: boolean } {
    const { manner } = peer
    const paths = [peer.tip, peer.other].map((tip) => this.world.path(tip))
    let common = this.world.genesis
    for (const hash of locator) {
      const block = this.world.byKey.get(toHex(hash))
      if (block == null || !paths.some((path) => path[block.height] === block)) continue
      common = block
      break
    }
    if (common === this.world.genesis) peer.starts++
    const again = peer.starts > 1
    let path = paths[manner === 'swapper' && again ? 1 : 0]!
    if (manner === 'ender' || (manner === 'shrinker' && again)) path = path.slice(0, Math.ceil(path.length / 2))
    const from = common.height + (manner === 'jumper' ? 3 : 1)
    const page = path.slice(from, from + (manner === 'dripper' ? 1 : PAGE))
    return { headers: page.map(headerOf), more: manner === 'dripper' || from + page.length < path.length }
  }
}

function headerOf(block: Block): Uint8Array {
  const bytes = new Uint8Array(80)
  new DataView(bytes.buffer).setUint32(0, block.id)
  return bytes
}

function blockOf(world: World, header: Uint8Array): Block {
  return world.blocks[new DataView(header.buffer, header.byteOffset).getUint32(0)]!
}

function placeOf({ hash, height, work }: Block): SyncWalk['last'] {
  return { hash, height, work, header: { time: 0 } }
}

export { World }
