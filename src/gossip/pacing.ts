import type { Clock } from '../clock.js'
import { HIGH_WATER_BYTES, type Link, Patience } from './patience.js'

/** Something to send. Exactly one of `go` and `drop` is called, once. */
export interface Turn {
  /** Higher goes first; equal ones go in order. */
  priority: number
  bytes: number
  /** A promise: the bytes are on no link before it settles. It never rejects. */
  go(): void | Promise<void>
  /** `stopped`: the service stops. `full`: something of higher priority needed the room. */
  drop(why: 'stopped' | 'full'): void
}

export interface PacerInit {
  /** Those that exist now. */
  links(): Iterable<Link>
  clock: Clock
}

/** What may wait for its turn. */
export const MAX_WAITING_BYTES = 64 * 1_048_576
/** A turn counts at least this much, so that there are never more than 16,384. */
const MIN_TURN_BYTES = 4_096
/** Links are looked at once per so many bytes sent. */
const LOOK_BYTES = 65_536
/** And at least so often while something waits: a drain event can be missed. */
const LOOK_MS = 50

/**
 * Lets sends through while every link takes what it is given, and makes them wait while one does not: gossipsub itself has no
 * back-pressure, and a burst of its own publishes resets the stream. Nobody waits long for a link that does not get on: it is cut,
 * or passed over and given nothing (`takes`) until it is under the mark again.
 */
export class Pacer {
  readonly #waiting: Turn[] = []
  readonly #patience: Patience
  #waitingBytes = 0
  #sentSinceLook = LOOK_BYTES
  /** Bytes of those that are gone but on no link yet. */
  #flying = 0
  readonly #cut = new WeakSet<Link['stream']>()
  #stopWaiting: (() => void) | undefined
  #stopWatching: (() => void) | undefined

  constructor(private readonly init: PacerInit) {
    this.#patience = new Patience(init.clock)
  }

  /** Bytes that wait for their turn; small turns count 4 KiB. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Should this peer be given messages while its stream holds so many bytes? */
  takes(peer: string, held: number): boolean {
    return held <= HIGH_WATER_BYTES || !this.#patience.isSlow(peer)
  }

  /**
   * Calls `go` now or when its turn has come. When too much waits, turns of lower priority are dropped for it, the newest first.
   * False, and neither is called, when that does not make room.
   */
  run(turn: Turn): boolean {
    if (this.#waiting.length === 0 && this.#free()) {
      this.#send(turn)
      return true
    }
    if (!this.#makeRoom(turn)) return false
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]!.priority < turn.priority) at--
    this.#waiting.splice(at, 0, turn)
    this.#waitingBytes += weight(turn)
    this.#wait()
    return true
  }

  /** Drops all that waits. The pacer can be used again, and still knows who is slow. */
  clear(): void {
    this.#stopWaiting?.()
    this.#stopWatching?.()
    this.#patience.clear()
    this.#sentSinceLook = LOOK_BYTES
    this.#waitingBytes = 0
    for (const turn of this.#waiting.splice(0)) turn.drop('stopped')
  }

  #makeRoom(turn: Turn): boolean {
    const over = this.#waitingBytes + weight(turn) - MAX_WAITING_BYTES
    let freed = 0
    let from = this.#waiting.length
    while (freed < over && from > 0 && this.#waiting[from - 1]!.priority < turn.priority) {
      freed += weight(this.#waiting[--from]!)
    }
    if (freed < over) return false
    this.#waitingBytes -= freed
    for (const other of this.#waiting.splice(from)) other.drop('full')
    return true
  }

  #send(turn: Turn): void {
    this.#sentSinceLook += turn.bytes
    const sending = turn.go()
    if (!(sending instanceof Promise)) return
    this.#flying += turn.bytes
    void sending.then(() => {
      this.#flying -= turn.bytes
      if (this.#waiting.length > 0) this.#pump()
    })
  }

  #free(): boolean {
    if (this.#flying >= LOOK_BYTES) return false
    if (this.#sentSinceLook < LOOK_BYTES && !this.#patience.busy) return true
    this.#sentSinceLook = 0
    return this.#congested().length === 0
  }

  /** The links that are waited for. Those that get nowhere are cut. */
  #congested(): Link[] {
    const congested: Link[] = []
    const links = [...this.init.links()].filter(({ stream }) => !this.#cut.has(stream))
    for (const { link, ruling } of this.#patience.look(links, this.#waiting.length > 0)) {
      if (ruling === 'wait') congested.push(link)
      if (ruling !== 'cut') continue
      this.#cut.add(link.stream)
      link.cut(`holds ${link.stream.writeBufferLength} bytes and takes next to nothing`)
    }
    this.#watch()
    return congested
  }

  /** Goes on looking while a link is full, though nobody waits for it: one that never reads is to be cut. */
  #watch(): void {
    this.#stopWatching?.()
    if (!this.#patience.busy) return
    const cancel = this.init.clock.after(LOOK_MS, () => {
      this.#stopWatching = undefined
      this.#congested()
    })
    this.#stopWatching = () => {
      this.#stopWatching = undefined
      cancel()
    }
  }

  #wait(): void {
    // what is flying wakes us when it has landed
    if (this.#stopWaiting != null || this.#flying >= LOOK_BYTES) return
    const streams = this.#congested().map((link) => link.stream)
    const wake = (): void => {
      this.#stopWaiting?.()
      this.#pump()
    }
    // a stream tells that it can go on before it does
    const drained = (): void => queueMicrotask(() => this.#stopWaiting === stop && wake())
    for (const stream of streams) {
      stream.addEventListener('drain', drained)
      stream.addEventListener('close', wake)
    }
    const cancel = this.init.clock.after(streams.length === 0 ? 0 : LOOK_MS, wake)
    const stop = (): void => {
      this.#stopWaiting = undefined
      cancel()
      for (const stream of streams) {
        stream.removeEventListener('drain', drained)
        stream.removeEventListener('close', wake)
      }
    }
    this.#stopWaiting = stop
  }

  #pump(): void {
    while (this.#waiting.length > 0) {
      if (!this.#free()) {
        this.#wait()
        return
      }
      const turn = this.#waiting.shift()!
      this.#waitingBytes -= weight(turn)
      this.#send(turn)
    }
  }
}

function weight(turn: Turn): number {
  return Math.max(MIN_TURN_BYTES, turn.bytes)
}
