import { ACCEPT, ignore, reject, type Verdict } from '../../dist/src/chain/verdict.js'
import { toHex } from '../../dist/src/hex.js'
import type { Action } from '../../dist/src/sync/action.js'
import { Planner } from '../../dist/src/sync/planner.js'
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

  grow(parent: Block, count: number, work = 1n, flaws: { badState?: boolean; badHeader?: boolean } = {}): Block {
    let tip = parent
    for (let i = 0; i < count; i++) tip = this.#make(tip, work, i === 0 ? flaws : {})
    return tip
  }

  path(tip: Block): Block[] {
    const blocks: Block[] = []
    for (let block: Block | undefined = tip; block != null; block = block.parent) blocks[block.height] = block
    return blocks
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
        for (let b: Block | undefined = block; b != null; b = b.parent) this.parked.delete(b)
      }
      this.known.add(block)
      if (this.light) for (const set of [this.bodies, this.applied]) set.add(block)
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
    for (const next of this.bodies) if (next.parent === block && !this.applied.has(next)) this.#apply(next)
  }

  #choose(): void {
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

/** Tempers that a peer is charged for; what others do may be bad luck. */
export const LIARS = new Set<Temper>(['spoiler', 'swapper'])

export interface SimulatedPeer {
  id: string
  temper: Temper
  tip: Block
  lowest: number
  role: 'full' | 'light'
}

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

  constructor(
    readonly world: World,
    light = false
  ) {
    this.chain = new ModelChain(world, light)
    this.planner = new Planner(this.chain, () => this.time, light)
  }

  join(id: string, temper: Temper, tip: Block, lowest = 0, role: 'full' | 'light' = 'full'): void {
    const peer = { id, temper, tip, lowest, role }
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
      const next = Math.min(this.#events[0]?.at ?? Number.POSITIVE_INFINITY, watchdog + 1_000, this.planner.wakeAt())
      if (next > end) return false
      this.time = Math.max(this.time, next)
      if (this.time >= watchdog + 1_000) watchdog = this.time
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
      if (!actions.some((action) => action.do === 'park')) return
      this.planner.changed()
    }
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
        // the chain tells that it moved before the import ends
        this.at(1, () => this.planner.changed())
        this.at(5, () => this.planner.imported(result))
        break
      }
      case 'park':
        this.chain.park(action.hash)
        break
      case 'judge':
        if (action.verdict.result === 'reject') this.charged.set(action.peer, action.verdict.reason)
        break
      case 'fault':
        if (action.fault !== 'quality' && action.fault !== 'none') this.charged.set(action.peer, action.reason)
    }
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
    const count = peer.temper === 'dripper' ? 1 : peer.temper === 'boaster' ? 0 : 2_000
    const blocks = path.slice(common.height + 1, common.height + 1 + count)
    this.#later(id, peer.temper === 'slow' ? 300 : 20, () => {
      const { added, verdict, last } = this.chain.addHeaders(blocks)
      this.planner.headers(id, { count: blocks.length, bytes: blocks.length * 100, added, verdict, last })
      if (this.#open.has(id)) this.planner.done(id, peer.temper === 'dripper' || blocks.at(-1) !== peer.tip)
      this.#open.delete(id)
    })
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
    for (let i = 0; i < have; i += 10) {
      const page = wanted.slice(i, Math.min(have, i + 10)).map((block) => {
        const body = this.#body(block!, peer.temper !== 'spoiler')
        return { key: block!.key, bytes: body.bytes }
      })
      at += slow ? 500 : 2
      this.#later(id, at, () => this.planner.bodies(id, page))
    }
    this.#end(id, at + 1, () => {
      if (broken) this.planner.failed(id, { name: 'TruncatedError' })
      else this.planner.done(id, have < wanted.length)
    })
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
    const bytes = new Uint8Array(300)
    new DataView(bytes.buffer).setUint32(0, block.id)
    bytes[4] = good ? 1 : 0
    return { block, good, bytes }
  }

  #bodyOf(bytes: Uint8Array): Body {
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    return { block: this.world.blocks[id]!, good: bytes[4] === 1, bytes }
  }
}
