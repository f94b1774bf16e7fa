import { ACCEPT, ignore, reject, type Verdict } from '../../dist/src/chain/verdict.js'
import { toHex } from '../../dist/src/hex.js'
import type { Action } from '../../dist/src/sync/action.js'
import { MAX_HEADERS, STALLED_MS, WINDOW_BLOCKS, WINDOW_BYTES } from '../../dist/src/sync/limit.js'
import { Planner } from '../../dist/src/sync/planner.js'
import { report } from '../../dist/src/sync/report.js'
import type { ChainView, Place } from '../../dist/src/sync/source.js'

/** A block of the model: its hash is its number. */
export interface Block {
  id: number
  parent: Block | undefined
  height: number
  work: bigint
  hash: Uint8Array
  key: string
  /** What `applyTx` would say. */
  badState: boolean
  /** What `checkHeader` would say. */
  badHeader: boolean
}

/** All blocks of all branches that anybody made. */
export class World {
  readonly blocks: Block[] = []
  readonly byKey = new Map<string, Block>()
  readonly genesis = this.#make(undefined, 0n, {})
  readonly #paths = new Map<Block, Block[]>()

  grow(parent: Block, count: number, work = 1n, flaws: { badState?: boolean; badHeader?: boolean } = {}): Block {
    let tip = parent
    for (let i = 0; i < count; i++) tip = this.#make(tip, work, i === 0 ? flaws : {})
    return tip
  }

  /** From genesis to `tip`, by height. */
  path(tip: Block): readonly Block[] {
    let path = this.#paths.get(tip)
    if (path == null) {
      const blocks: Block[] = []
      for (let block: Block | undefined = tip; block != null; block = block.parent) blocks[block.height] = block
      this.#paths.set(tip, blocks)
      path = blocks
    }
    return path
  }

  #make(parent: Block | undefined, work: bigint, flaws: { badState?: boolean; badHeader?: boolean }): Block {
    const id = this.blocks.length
    const hash = new Uint8Array(32)
    new DataView(hash.buffer).setUint32(28, id + 1)
    const block = {
      id,
      parent,
      height: parent == null ? 0 : parent.height + 1,
      work: (parent?.work ?? 0n) + work,
      hash,
      key: toHex(hash),
      badState: flaws.badState ?? false,
      badHeader: flaws.badHeader ?? false
    }
    this.blocks.push(block)
    this.byKey.set(block.key, block)
    return block
  }
}

/** A body: which block it is of, and whether it is the true one. */
export interface Body {
  block: Block
  good: boolean
  bytes: Uint8Array
}

/** The chain as the planner sees it, in memory and at once. */
export class ModelChain implements ChainView {
  readonly known = new Set<Block>()
  readonly bodies = new Set<Block>()
  readonly applied = new Set<Block>()
  readonly invalid = new Set<Block>()
  readonly parked = new Set<Block>()
  /** Headers and bodies that came since head and target were last chosen. */
  #news: Block[] = []
  /** Some were left out then. */
  #outs = false
  head: Block
  target: Block

  /** `light`: a header is all that there is of a block. */
  constructor(
    readonly world: World,
    private readonly light = false
  ) {
    this.head = this.target = world.genesis
    for (const set of [this.known, this.bodies, this.applied]) set.add(world.genesis)
  }

  has(hash: Uint8Array): 'header' | 'body' | 'valid' | 'invalid' | undefined {
    const block = this.world.byKey.get(toHex(hash))
    if (block == null || !this.known.has(block)) return undefined
    if (this.invalid.has(block)) return 'invalid'
    return this.applied.has(block) ? 'valid' : this.bodies.has(block) ? 'body' : 'header'
  }

  locate(hash: Uint8Array): Block | undefined {
    return this.has(hash) == null ? undefined : this.world.byKey.get(toHex(hash))
  }

  missing(limit: number): Place[] {
    const path: Block[] = []
    for (let b: Block | undefined = this.target; b != null && !this.applied.has(b); b = b.parent) {
      if (!this.bodies.has(b)) path.push(b)
    }
    return path.reverse().slice(0, limit)
  }

  missingAfter(place: Place, limit: number): Place[] | undefined {
    const last = this.world.byKey.get(toHex(place.hash))
    const path: Block[] = []
    let block: Block | undefined = this.target
    for (; block != null && block !== last && !this.applied.has(block); block = block.parent) {
      if (!this.bodies.has(block)) path.push(block)
    }
    if (block == null || block !== last || this.bodies.has(block)) return undefined
    return path.reverse().slice(0, limit)
  }

  addHeaders(blocks: Block[]): { added: number; verdict: Verdict; last: Block | undefined } {
    let added = 0
    let last: Block | undefined
    for (const block of blocks) {
      let verdict: Verdict = ACCEPT
      if (block.parent != null && !this.known.has(block.parent)) verdict = ignore('unknown-parent')
      else if (block.badHeader) verdict = reject('header')
      else if (this.invalid.has(block) || (block.parent != null && this.invalid.has(block.parent))) {
        verdict = reject('known-invalid')
      }
      if (verdict !== ACCEPT) {
        this.#choose()
        return { added, verdict, last }
      }
      if (!this.known.has(block)) {
        added++
        // a new header takes a parked branch up again
        for (let b: Block | undefined = block; b != null && this.parked.size > 0; b = b.parent) this.parked.delete(b)
      }
      this.known.add(block)
      if (this.light) for (const set of [this.bodies, this.applied]) set.add(block)
      this.#news.push(block)
      last = block
    }
    this.#choose()
    return { added, verdict: ACCEPT, last }
  }

  addBlocks(bodies: Body[]): { added: number; verdict: Verdict; index?: number } {
    for (const [index, { block, good }] of bodies.entries()) {
      let verdict: Verdict = ACCEPT
      if (this.invalid.has(block)) verdict = reject('known-invalid')
      else if (!this.known.has(block.parent!)) verdict = ignore('unknown-parent')
      else if (!good) verdict = reject('root')
      else {
        this.known.add(block)
        this.bodies.add(block)
        for (let b: Block | undefined = block; b != null && this.parked.delete(b); ) b = b.parent
        this.#apply(block)
        if (this.invalid.has(block)) verdict = reject('state')
      }
      if (verdict !== ACCEPT) {
        this.#choose()
        return { added: index, verdict, index }
      }
    }
    this.#choose()
    return { added: bodies.length, verdict: ACCEPT }
  }

  park(hash: Uint8Array): void {
    const block = this.locate(hash)
    if (block != null && !this.bodies.has(block)) this.parked.add(block)
    this.#choose()
  }

  #apply(block: Block): void {
    if (!this.applied.has(block.parent!) || !this.bodies.has(block)) return
    if (block.badState) {
      for (const b of this.known)
        if (b === block || (b.parent != null && this.invalid.has(b.parent))) this.invalid.add(b)
      return
    }
    this.applied.add(block)
    this.#news.push(block)
    // a body that waits for this one is known already
    if (this.bodies.size > this.applied.size)
      for (const next of this.bodies) if (next.parent === block && !this.applied.has(next)) this.#apply(next)
  }

  #choose(): void {
    // where nothing is left out only what is new can be better
    if (this.parked.size === 0 && this.invalid.size === 0 && !this.#outs) {
      for (const block of this.#news) {
        if (this.applied.has(block) && block.work > this.head.work) this.head = block
        if (block.work > this.target.work) this.target = block
      }
      if (this.head.work >= this.target.work) this.target = this.head
      this.#news = []
      return
    }
    this.#outs = this.parked.size > 0 || this.invalid.size > 0
    this.#news = []
    const out = new Set<Block>()
    // a block stands after its parent in the world's order
    for (const block of this.world.blocks) {
      if (!this.known.has(block)) continue
      if (this.invalid.has(block) || this.parked.has(block) || (block.parent != null && out.has(block.parent))) {
        out.add(block)
        continue
      }
      if (this.applied.has(block) && block.work > this.head.work) this.head = block
    }
    this.target = this.head
    for (const block of this.known) if (!out.has(block) && block.work > this.target.work) this.target = block
  }
}

export type Temper =
  | 'honest'
  /** Sends a block in 50 ms, after 300 ms. */
  | 'slow'
  /** Answers nothing. */
  | 'silent'
  /** Claims more than there is, and has no headers for it. */
  | 'boaster'
  /** Good headers, wrong bodies. */
  | 'spoiler'
  /** Good headers, no bodies. */
  | 'withholder'
  /** Other blocks than those asked for by hash. */
  | 'swapper'
  /** One block an answer. */
  | 'miser'
  /** Pages of one header, and always more to come. */
  | 'dripper'
  /** A header that we know every 4.9 s, and never an end. */
  | 'trickler'
  /** Serves by hash whatever it ever heard of, also beside its chain. */
  | 'keeper'
  /** Says that it is busy. */
  | 'busy'
  /** Ends its streams half-way. */
  | 'breaker'
  /** Headers of another world, which link to nothing here. */
  | 'stranger'

/** Tempers that a peer is charged for; what others do may be bad luck. */
export const LIARS = new Set<Temper>(['spoiler', 'swapper', 'stranger'])

/** A link that all answers of a peer share. */
export interface Pace {
  /** Before the first of an answer. */
  firstMs: number
  bytesPerMs: number
}

export interface SimulatedPeer {
  id: string
  temper: Temper
  tip: Block
  lowest: number
  role: 'full' | 'light'
  pace?: Pace | undefined
  /** Its link has sent all that it was given by then. */
  freeAt: number
}

export interface SimulationInit {
  /** The planner is that of a light node. @default false */
  light?: boolean
  bodyBytes?: number
  /** What checking and storing a block takes, in ms. @default 5 ms an import, however many are in it */
  importMs?: number | undefined
  /** How often the chain's events get lost, 0 to 1. */
  deafness?: number
  random?: () => number
}

/** How often sync looks again although nothing happened. */
const WATCHDOG_MS = 1_000
/** What comes together. */
const FRAME_BYTES = 64 << 10
const HEADER_BYTES = 100

/** Peers, a network and a clock turned by hand around one planner. */
export class Simulation {
  time = 1_000_000
  readonly chain: ModelChain
  readonly planner: Planner
  readonly peers = new Map<string, SimulatedPeer>()
  readonly charged = new Map<string, string>()
  readonly states: string[] = []
  /** Most requests that any one peer ever had to answer at once. */
  mostInFlight = 0
  readonly asked = new Map<string, number>()
  readonly #events: { at: number; run: () => void }[] = []
  readonly #open = new Map<number, string>()
  /** What came of the planner's doing, and when. */
  #gains = 0
  #gainedAt = this.time
  #received = 0
  /** A branch given up is a step forward too. */
  #parks = 0
  #importing = false

  constructor(
    readonly world: World,
    readonly init: SimulationInit = {}
  ) {
    const light = init.light ?? false
    this.chain = new ModelChain(world, light)
    this.planner = new Planner(this.chain, () => this.time, light)
  }

  join(id: string, temper: Temper, tip: Block, lowest = 0, pace?: Pace, role: 'full' | 'light' = 'full'): void {
    const peer: SimulatedPeer = { id, temper, tip, lowest, role, pace, freeAt: 0 }
    this.peers.set(id, peer)
    this.#offer(peer)
    this.#step()
  }

  /** The peer has another head, or serves less than before. */
  move(id: string, tip: Block, lowest?: number): void {
    const peer = this.peers.get(id)
    if (peer == null) return
    peer.tip = tip
    peer.lowest = lowest ?? peer.lowest
    this.#offer(peer)
    this.#step()
  }

  /** It claims something that it has not: each time another thing. */
  boast(id: string): void {
    const hash = new Uint8Array(32).fill(0xbb)
    new DataView(hash.buffer).setUint32(0, this.time)
    this.planner.offer({ id, role: 'full', lowest: 0, head: { hash, height: 1_000_000, work: 2n ** 100n } })
    this.#step()
  }

  leave(id: string): void {
    this.peers.delete(id)
    this.planner.leave(id)
    this.#step()
  }

  at(ms: number, run: () => void): void {
    this.#events.push({ at: this.time + ms, run })
  }

  /** Turns the clock until `condition` holds. Answers whether it came to hold within `ms`. */
  until(condition: () => boolean, ms: number): boolean {
    const end = this.time + ms
    let watchdog = this.time
    while (!condition()) {
      this.#events.sort((a, b) => a.at - b.at)
      const due = watchdog + WATCHDOG_MS
      const next = Math.min(this.#events[0]?.at ?? Number.POSITIVE_INFINITY, due, this.planner.wakeAt())
      if (next > end) return false
      this.time = Math.max(this.time, next)
      if (this.time >= due) {
        watchdog = this.time
        this.planner.changed()
      }
      while (this.#events.length > 0 && this.#events[0]!.at <= this.time) this.#events.shift()!.run()
      this.#step()
    }
    return true
  }

  #offer({ id, temper, tip, lowest, role }: SimulatedPeer): void {
    const { hash, height, work } = tip
    const claim =
      temper === 'boaster' || temper === 'dripper' || temper === 'trickler'
        ? { hash: new Uint8Array(32).fill(0xee), height: height + 1_000, work: 2n ** 200n }
        : { hash, height, work }
    this.planner.offer({ id, role, lowest, head: claim })
  }

  #step(): void {
    for (let round = 0; ; round++) {
      if (round > 50) throw new Error('the planner does not come to rest')
      const actions = this.planner.evaluate()
      if (this.states.at(-1) !== this.planner.state) this.states.push(this.planner.state)
      for (const action of actions) this.#act(action)
      if (!actions.some((action) => action.do === 'park')) break
      this.planner.changed()
    }
    this.#watch()
  }

  /** What holds at every instant. */
  #watch(): void {
    const { planner, chain, time } = this
    const { state, reason } = planner
    const { head, target } = chain
    const speed = { blocksPerSecond: 0, headersPerSecond: 0 }
    const progress = { state, height: head.height, target: target.height, claimed: 0, peers: this.peers.size, ...speed }
    const { window, sources } = report(progress, planner)
    const where = (): string => `at ${time}: ${state} (${reason}), ${JSON.stringify({ window, sources })}`
    const must = (what: string, holds: boolean): void => {
      if (!holds) throw new Error(`${what} ${where()}`)
    }
    const gains = chain.known.size + chain.bodies.size + chain.applied.size + this.#received + this.#parks
    if (gains !== this.#gains || (state !== 'headers' && state !== 'bodies')) this.#gainedAt = time
    this.#gains = gains
    must('neither progress nor a reason for', time - this.#gainedAt <= STALLED_MS + WATCHDOG_MS)
    must('no reason', (state === 'stalled' || state === 'no-peers') === (reason != null))
    must('idle', state !== 'idle')
    must(
      'no peers, though there are',
      state !== 'no-peers' || ![...this.peers.values()].some(({ role }) => this.init.light || role === 'full')
    )
    must(
      'a request is lost',
      sources.every(({ peer, requests }) => requests === this.#requestsOf(peer))
    )
    must('more is asked than requests are open for', window.asked === 0 || this.#open.size > 0)
    must('the window is too large', window.blocks <= WINDOW_BLOCKS && window.bytes <= 2 * WINDOW_BYTES)
    must('nobody is asked, nothing imported and nobody left alone', state !== 'bodies' || this.#isBusy(sources))
  }

  #requestsOf(peer: string): number {
    let count = 0
    for (const asked of this.#open.values()) if (asked === peer) count++
    return count
  }

  /** Something is under way, or there is a time to wait for. */
  #isBusy(sources: { restMs: number; lacksFrom?: number }[]): boolean {
    if (this.#open.size > 0 || this.#importing) return true
    return sources.some(({ restMs, lacksFrom }) => restMs > 0 || lacksFrom != null)
  }

  #act(action: Action): void {
    switch (action.do) {
      case 'headers':
        this.#ask(action.id, action.peer, (peer) => this.#answerHeaders(action.id, peer, action.from))
        break
      case 'bodies':
        this.#ask(action.id, action.peer, (peer) => this.#answerBodies(action.id, peer, action.by, action.places))
        break
      case 'cancel':
        this.#open.delete(action.id)
        break
      case 'import': {
        const result = this.chain.addBlocks(action.blocks.map((bytes) => this.#bodyOf(bytes)))
        this.#importing = true
        // the chain tells that it moved before the import ends
        this.at(1, () => this.#changed())
        this.at(this.init.importMs == null ? 5 : this.init.importMs * action.blocks.length, () => {
          this.#importing = false
          this.planner.imported(result)
        })
        break
      }
      case 'park':
        this.#parks++
        this.chain.park(action.hash)
        break
      case 'judge':
        if (action.verdict.result === 'reject') this.charged.set(action.peer, action.verdict.reason)
        break
      case 'fault':
        if (action.fault !== 'quality' && action.fault !== 'none') this.charged.set(action.peer, action.reason)
    }
  }

  #changed(): void {
    const { deafness = 0, random = () => 1 } = this.init
    if (random() >= deafness) this.planner.changed()
  }

  #ask(id: number, peerId: string, answer: (peer: SimulatedPeer) => void): void {
    this.#open.set(id, peerId)
    this.asked.set(peerId, (this.asked.get(peerId) ?? 0) + 1)
    this.mostInFlight = Math.max(this.mostInFlight, [...this.#open.values()].filter((peer) => peer === peerId).length)
    const peer = this.peers.get(peerId)
    if (peer == null) this.#fail(id, 5, 'StreamLostError')
    else if (peer.temper === 'silent') this.#fail(id, 20_000, 'TimeoutError')
    else if (peer.temper === 'busy') this.#fail(id, 5, 'BusyError')
    else answer(peer)
  }

  #answerHeaders(id: number, peer: SimulatedPeer, from: Place | undefined): void {
    const path = this.world.path(peer.tip)
    let common = this.world.byKey.get(toHex((from ?? this.chain.target).hash))!
    while (path[common.height] !== common) common = common.parent!
    if (peer.temper === 'trickler') {
      this.#trickle(id)
      return
    }
    const count =
      peer.temper === 'dripper' ? 1 : peer.temper === 'boaster' ? 0 : peer.pace == null ? 2_000 : MAX_HEADERS
    const blocks =
      peer.temper === 'stranger'
        ? path.slice(common.height + 2)
        : path.slice(common.height + 1, common.height + 1 + count)
    const ms = peer.temper === 'slow' ? 300 : 20
    // those without a pace send all at once
    const size = peer.pace == null ? blocks.length : Math.floor(FRAME_BYTES / HEADER_BYTES)
    for (let i = 0; i < blocks.length; i += size) {
      const page = blocks.slice(i, i + size)
      this.#later(id, this.#send(peer, ms, page.length * HEADER_BYTES), () => this.#takeHeaders(id, page))
    }
    if (blocks.length === 0) this.#later(id, ms, () => this.#takeHeaders(id, blocks))
    this.#end(id, this.#send(peer, ms, 0), () =>
      this.planner.done(id, peer.temper === 'dripper' || blocks.at(-1) !== peer.tip)
    )
  }

  #takeHeaders(id: number, blocks: Block[]): void {
    const { added, verdict, last } = this.chain.addHeaders(blocks)
    this.planner.headers(id, { count: blocks.length, bytes: blocks.length * HEADER_BYTES, added, verdict, last })
  }

  #trickle(id: number, ms = 4_900): void {
    if (ms > 115_000) this.#fail(id, 0, 'TimeoutError')
    this.#later(id, 4_900, () => {
      const { added, verdict, last } = this.chain.addHeaders([this.world.genesis])
      this.planner.headers(id, { count: 1, bytes: 100, added, verdict, last })
      this.#trickle(id, ms + 4_900)
    })
  }

  #answerBodies(id: number, peer: SimulatedPeer, by: 'range' | 'hashes', places: Place[]): void {
    const path = this.world.path(peer.tip)
    const wanted =
      by === 'range'
        ? places.map(({ height }) => (height < peer.lowest ? undefined : path[height]))
        : places.map(({ hash, height }) => {
            const block = this.world.byKey.get(toHex(hash))!
            if (peer.temper === 'swapper') return path[height === 1 ? 2 : 1]
            if (peer.temper === 'keeper') return block
            return path[height] === block && height >= peer.lowest ? block : undefined
          })
    let have = wanted.indexOf(undefined)
    if (have === -1) have = wanted.length
    if (peer.temper === 'withholder') have = 0
    if (peer.temper === 'miser') have = Math.min(1, have)
    const broken = peer.temper === 'breaker' && have > 1
    if (broken) have = have >> 1
    if (have === 0) {
      this.#fail(id, 20, 'NotFoundError')
      return
    }
    const slow = peer.temper === 'slow'
    let at = slow ? 300 : 20
    const size = peer.pace == null ? 10 : Math.max(10, Math.floor(FRAME_BYTES / (this.init.bodyBytes ?? 300)))
    for (let i = 0; i < have; i += size) {
      const page = wanted.slice(i, Math.min(have, i + size)).map((block) => {
        const body = this.#body(block!, peer.temper !== 'spoiler')
        return { key: block!.key, bytes: body.bytes }
      })
      at = peer.pace == null ? at + (slow ? 500 : 2) : this.#send(peer, at, page.length * page[0]!.bytes.length)
      this.#later(id, at, () => {
        this.#received += page.length
        this.planner.bodies(id, page)
      })
    }
    this.#end(id, at + 1, () => {
      if (broken) this.planner.failed(id, { name: 'TruncatedError' })
      else this.planner.done(id, have < wanted.length)
    })
  }

  /** When it is all sent: after `ms` at the earliest, and after all that was given to its link before. */
  #send(peer: SimulatedPeer, ms: number, bytes: number): number {
    const { pace } = peer
    if (pace == null) return ms
    peer.freeAt = Math.max(peer.freeAt, this.time + pace.firstMs) + bytes / pace.bytesPerMs
    return peer.freeAt - this.time
  }

  #later(id: number, ms: number, run: () => void): void {
    this.at(ms, () => {
      if (this.#open.has(id)) run()
    })
  }

  #end(id: number, ms: number, run: () => void): void {
    this.#later(id, ms, () => {
      this.#open.delete(id)
      run()
    })
  }

  #fail(id: number, ms: number, name: string): void {
    this.#end(id, ms, () => this.planner.failed(id, { name, retryMs: 700 }))
  }

  #body(block: Block, good: boolean): Body {
    const bytes = new Uint8Array(this.init.bodyBytes ?? 300)
    new DataView(bytes.buffer).setUint32(0, block.id)
    bytes[4] = good ? 1 : 0
    return { block, good, bytes }
  }

  #bodyOf(bytes: Uint8Array): Body {
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    return { block: this.world.blocks[id]!, good: bytes[4] === 1, bytes }
  }
}
