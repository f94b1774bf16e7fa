import { ignore, type Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { equalBytes } from '../hex.js'
import { Slice } from '../slice.js'
import type { SyncBlock, SyncChain, SyncMinimum } from './port.js'
import { Presync, type PresyncEnd, type PresyncStep, reaches } from './presync.js'
import type { Source } from './source.js'

/** What became of some headers. */
export interface Taken {
  verdict: Verdict
  added: number
  last: SyncBlock | undefined
  /** They were not for the chain yet: how presync goes on. */
  presync?: 'more' | 'again' | PresyncEnd
}

export type Take = (headers: Uint8Array[]) => Promise<Taken>

/** How long to check headers before others have a turn of the event loop. */
const SLICE_MS = 5

/** Decides by which way headers go: straight to the chain, or through presync because their chain has too little work so far. */
export class HeaderIntake {
  constructor(
    private readonly chain: SyncChain,
    private readonly clock: Clock,
    /** 32 bytes that nobody can guess. */
    private readonly salt: () => Uint8Array = () => crypto.getRandomValues(new Uint8Array(32))
  ) {}

  /**
   * How to ask a source for the headers up to its head: on from its presync, or from a block of ours; and what to do with each page of
   * the answer. What comes after the request or its presync was given up is left aside.
   */
  way(
    source: Source | undefined,
    from: SyncBlock | undefined,
    signal: AbortSignal
  ): { locator: Uint8Array[]; take: Take } {
    let going = source?.presync
    return {
      locator: going?.locator ?? this.chain.locator(from),
      take: async (headers) => {
        if (signal.aborted || (going != null && source?.presync !== going)) return { ...NOTHING, presync: 'again' }
        const taken = await this.#take(source, headers)
        going = source?.presync
        return taken
      }
    }
  }

  async #take(source: Source | undefined, headers: Uint8Array[]): Promise<Taken> {
    if (source?.presync != null) return this.#continue(source, source.presync, headers)
    const walk = lowWork(this.chain, headers)
    if (walk == null || source == null) return straight(this.chain, headers)
    const presync = new Presync({
      walk: walk.begin,
      again: (header) => {
        const again = this.chain.walk?.(header)
        return again != null && equalBytes(again.last.hash, walk.start) ? again : undefined
      },
      threshold: walk.threshold,
      salt: this.salt(),
      claimed: source.claim?.height ?? 0,
      headerBytes: this.chain.limits.headerBytes,
      now: this.clock.now()
    })
    const { step } = await feed(presync, headers)
    // all in one piece: there is nothing to be asked for twice
    if (step === 'again') return straight(this.chain, headers)
    source.presync = presync
    return this.#settle(source, presync, step, headers.length, headers)
  }

  async #continue(source: Source, presync: Presync, headers: Uint8Array[]): Promise<Taken> {
    const { step, taken } = await feed(presync, headers)
    return this.#settle(source, presync, step, taken, headers)
  }

  async #settle(
    source: Source,
    presync: Presync,
    step: PresyncStep,
    taken: number,
    headers: Uint8Array[]
  ): Promise<Taken> {
    const over = typeof step === 'object' || step === 'done'
    if (over && source.presync === presync) source.presync = undefined
    const ready = presync.release()
    if (step === 'done') return straight(this.chain, [...ready, ...headers.slice(taken)])
    const kept = ready.length > 0 ? await straight(this.chain, ready) : NOTHING
    if (kept.verdict.result !== 'accept') {
      if (source.presync === presync) source.presync = undefined
      return kept
    }
    if (typeof step === 'string') return { ...kept, presync: step }
    return 'verdict' in step ? { ...kept, verdict: step.verdict } : { ...kept, presync: step.end }
  }
}

/** Headers of a branch on which somebody's block stands: of one with too little work nothing is kept, nor is it looked at twice. */
export async function takeBranch(chain: SyncChain, headers: Uint8Array[]): Promise<Taken> {
  const walk = lowWork(chain, headers)
  if (walk != null) {
    const slice = new Slice(SLICE_MS)
    for (const header of headers) {
      const verdict = walk.begin.add(header)
      if (verdict.result !== 'accept') return { verdict, added: 0, last: undefined }
      if (slice.over) await slice.end()
    }
    if (!reaches(walk.begin.last, walk.threshold)) return { verdict: ignore('low-work'), added: 0, last: undefined }
  }
  return straight(chain, headers)
}

async function straight(chain: SyncChain, headers: Uint8Array[]): Promise<Taken> {
  const { verdict, added, last } = await chain.addHeaders(headers)
  return { verdict, added, last }
}

const NOTHING: Taken = { verdict: { result: 'accept' }, added: 0, last: undefined }

/** A walk over headers that stand on too little work; undefined where the chain may have them. One look a page, none a header. */
function lowWork(
  chain: SyncChain,
  headers: Uint8Array[]
): { begin: Walk; start: Uint8Array; threshold: SyncMinimum } | undefined {
  const { threshold } = chain
  if (threshold == null || headers.length === 0 || (threshold.work === 0n && threshold.height === 0)) return undefined
  const begin = chain.walk?.(headers[0]!)
  return begin == null || reaches(begin.last, threshold) ? undefined : { begin, start: begin.last.hash, threshold }
}

type Walk = NonNullable<ReturnType<NonNullable<SyncChain['walk']>>>

/** Puts headers into presync until something comes of it. Answers how many it took. */
async function feed(presync: Presync, headers: Uint8Array[]): Promise<{ step: PresyncStep; taken: number }> {
  const slice = new Slice(SLICE_MS)
  for (const [i, header] of headers.entries()) {
    const step = presync.add(header)
    if (step !== 'more') return { step, taken: i + 1 }
    if (slice.over) await slice.end()
  }
  return { step: 'more', taken: headers.length }
}
