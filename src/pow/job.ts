import { Search } from './loop.js'

/** Nonces between two looks at the stop flag: half a millisecond. */
const CHUNK = 1_024
/** How old the time in a header may get. */
const REFRESH_MS = 1_000

/** What a thread shall search. */
export interface Job {
  /** Goes on while the shared flag holds this number. */
  id: number
  /** 84 bytes. */
  header: Uint8Array
  /** 32 bytes, big-endian. */
  target: Uint8Array
  /** First nonce. */
  from: number
  count: number
  /** The header's time may not fall below this. */
  minTime: number
  /** What the miner's clock is ahead of the machine's, in ms. */
  skew: number
}

export type Outcome =
  | { id: number; result: 'found'; nonce: number; time: number }
  /** All nonces were tried. */
  | { id: number; result: 'exhausted' }
  /** The flag changed. */
  | { id: number; result: 'cancelled' }

/** Memory that a miner and its threads share: the number of the job at hand, and how many hashes each thread has made. */
export class Board {
  readonly #current: Int32Array
  readonly #hashes: BigUint64Array

  constructor(readonly memory: SharedArrayBuffer) {
    this.#current = new Int32Array(memory, 0, 1)
    this.#hashes = new BigUint64Array(memory, 8)
  }

  static of(threads: number): Board {
    return new Board(new SharedArrayBuffer(8 + 8 * threads))
  }

  get current(): number {
    return Atomics.load(this.#current, 0)
  }

  /** Another number cancels all jobs with the old one. */
  set current(id: number) {
    Atomics.store(this.#current, 0, id)
  }

  count(thread: number, hashes: number): void {
    Atomics.add(this.#hashes, thread, BigInt(hashes))
  }

  /** Hashes of all threads, ever. */
  get total(): number {
    let total = 0n
    for (let i = 0; i < this.#hashes.length; i++) total += Atomics.load(this.#hashes, i)
    return Number(total)
  }
}

/** Searches until it has found, tried all, or is cancelled. Blocks the thread. */
export function run(job: Job, board: Board, thread: number, now: () => number = Date.now): Outcome {
  const search = new Search(job.header, job.target)
  const end = job.from + job.count
  let time = -1
  let refreshed = Number.NEGATIVE_INFINITY
  for (let nonce = job.from; nonce < end; nonce += CHUNK) {
    if (board.current !== job.id) return { id: job.id, result: 'cancelled' }
    const at = now()
    // a clock that was set back counts as well
    if (at - refreshed >= REFRESH_MS || at < refreshed) {
      refreshed = at
      time = Math.max(job.minTime, at + job.skew)
      search.time = time
    }
    const count = Math.min(CHUNK, end - nonce)
    const found = search.run(nonce, count)
    board.count(thread, found < 0 ? count : found - nonce + 1)
    if (found >= 0) return { id: job.id, result: 'found', nonce: found, time }
  }
  return { id: job.id, result: 'exhausted' }
}
