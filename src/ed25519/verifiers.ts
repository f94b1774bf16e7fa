import { type Clock, systemClock } from '../clock.js'
import { packChunk, type SignedMessage } from './chunk.js'
import type { Thread, ThreadEvents } from './thread.js'

/** Signatures that a thread gets at once: some 7 ms of work, against which the way there and back is nothing. */
const CHUNK = 64
/** Threads that were not needed for so long are ended. */
const IDLE_MS = 30_000
/** So many threads that ended by themselves, and no more are started. */
const MAX_LOST = 4

export interface VerifiersInit {
  threads: number
  start(on: ThreadEvents): Thread
  /** Here, where no thread can be had. */
  verify(item: SignedMessage): boolean
  clock?: Clock
}

/** Signatures of one call. */
interface Call {
  readonly list: SignedMessage[]
  readonly answers: boolean[]
  /** The first that no thread has yet, and how many have no answer. */
  next: number
  open: number
  settle(): void
}

interface Part {
  readonly call: Call
  readonly index: number
}

interface Worker {
  readonly thread: Thread
  /** What it has at hand, and what comes next: it must not wait for us. */
  readonly chunks: Part[][]
}

/** Verifies signatures on several threads: urgent calls before all others, and of equals each in turn. */
export class Verifiers {
  readonly #init: VerifiersInit
  readonly #clock: Clock
  readonly #urgent: Call[] = []
  readonly #calls: Call[] = []
  #workers: Worker[] = []
  #lostThreads = 0
  #cancelIdle: () => void = () => {}

  constructor(init: VerifiersInit) {
    this.#init = init
    this.#clock = init.clock ?? systemClock
  }

  /** Threads that there are now. */
  get size(): number {
    return this.#workers.length
  }

  verify(list: SignedMessage[], urgent: boolean): Promise<boolean[]> {
    return new Promise((resolve) => {
      const answers: boolean[] = list.map(() => false)
      const sound = list.filter(isSized)
      if (sound.length === 0) {
        resolve(answers)
        return
      }
      const places = sound.length === list.length ? undefined : list.flatMap((each, i) => (isSized(each) ? [i] : []))
      const call: Call = {
        list: sound,
        answers: places == null ? answers : sound.map(() => false),
        next: 0,
        open: sound.length,
        settle() {
          for (const [n, i] of places?.entries() ?? []) answers[i] = call.answers[n]!
          resolve(answers)
        }
      }
      const queue = urgent ? this.#urgent : this.#calls
      queue.push(call)
      this.#pump()
    })
  }

  /** Ends the threads; what they had is verified by new ones, or here. */
  stop(): void {
    this.#cancelIdle()
    const parts = this.#workers.flatMap(({ thread, chunks }) => {
      thread.stop()
      return chunks.flat()
    })
    this.#workers = []
    this.#here(parts)
  }

  #pump(): void {
    this.#cancelIdle()
    for (let depth = 1; depth <= 2; depth++) {
      for (let i = 0; i < this.#init.threads && this.#waiting; i++) {
        const worker = this.#workers[i] ?? this.#start()
        if (worker == null) break
        if (worker.chunks.length < depth) this.#post(worker)
      }
    }
    // where no thread can be had
    if (this.#workers.length === 0) while (this.#waiting) this.#here(this.#take())
    if (this.#workers.some(({ chunks }) => chunks.length > 0)) return
    this.#cancelIdle = this.#clock.after(IDLE_MS, () => this.stop())
  }

  get #waiting(): boolean {
    return this.#urgent.length > 0 || this.#calls.length > 0
  }

  #start(): Worker | undefined {
    if (this.#lostThreads >= MAX_LOST) return undefined
    try {
      const thread = this.#init.start({
        done: (bytes) => this.#done(worker, bytes),
        lost: () => this.#lost(worker)
      })
      const worker: Worker = { thread, chunks: [] }
      this.#workers.push(worker)
      return worker
    } catch {
      this.#lostThreads++
      return undefined
    }
  }

  #post(worker: Worker): void {
    const parts = this.#take()
    if (worker.chunks.length === 0) worker.thread.hold(true)
    worker.chunks.push(parts)
    worker.thread.post(packChunk(parts.map(({ call, index }) => call.list[index]!)))
  }

  /** The next signatures: of the first call, and where that has fewer, of those behind it. */
  #take(): Part[] {
    const parts: Part[] = []
    while (parts.length < CHUNK && this.#waiting) {
      const queue = this.#urgent.length > 0 ? this.#urgent : this.#calls
      const call = queue.shift()!
      const to = Math.min(call.list.length, call.next + CHUNK - parts.length)
      for (; call.next < to; call.next++) parts.push({ call, index: call.next })
      if (call.next < call.list.length) queue.push(call)
    }
    return parts
  }

  #done(worker: Worker, bytes: Uint8Array): void {
    const parts = worker.chunks.shift() ?? []
    if (worker.chunks.length === 0) worker.thread.hold(false)
    for (const [i, part] of parts.entries()) this.#answer(part, bytes[i] === 1)
    this.#pump()
  }

  /** A thread that ended by itself is no reason to believe or refuse anything. */
  #lost(worker: Worker): void {
    this.#lostThreads++
    this.#workers = this.#workers.filter((other) => other !== worker)
    this.#here(worker.chunks.splice(0).flat())
    this.#pump()
  }

  #here(parts: Part[]): void {
    for (const part of parts) this.#answer(part, this.#init.verify(part.call.list[part.index]!))
  }

  #answer({ call, index }: Part, good: boolean): void {
    call.answers[index] = good
    if (--call.open === 0) call.settle()
  }
}

function isSized({ signature, publicKey }: SignedMessage): boolean {
  return signature.length === 64 && publicKey.length === 32
}
