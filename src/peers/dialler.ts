import type { Connection } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../clock.js'
import type { AddressBook } from './book.js'
import type { Planner } from './planner.js'

/** A whole dial, all addresses of a peer together. libp2p's own number, which it forgets when it is given a signal. */
export const DIAL_MS = 10_000

/** How it stands with a seed. */
export type SeedState = 'waiting' | 'dialling' | 'connected' | 'failed'

export interface SeedReport {
  /** The first address under which the seed was given. */
  address: string
  /** `failed`: the last attempt; `waiting`: a connection that stood was lost. */
  state: SeedState
  error?: string
  /** Time until the next attempt, in ms. */
  nextMs?: number
}

export interface DiallerInit {
  clock: Clock
  book: AddressBook
  planner: Planner
  connectionManager: ConnectionManager
  /** A seed's state changed. */
  onSeed(report: SeedReport): void
  /** Why a peer is not dialled at all for now, if so: it follows another chain. */
  refusalOf(id: string): string | undefined
  /** A dial ended. */
  onDialled(ok: boolean): void
}

/** Carries out the planner's decisions and tells it how they ended. Dials by the book's multiaddrs: libp2p's own entries age. */
export class Dialler {
  readonly #init: DiallerInit
  readonly #seeds = new Map<string, SeedReport>()

  constructor(init: DiallerInit) {
    this.#init = init
  }

  /** Resolves when the dial has ended, either way; never rejects. */
  async dial(id: string, signal: AbortSignal): Promise<Connection | undefined> {
    const { clock, book, planner, connectionManager } = this.#init
    const entry = book.get(id)
    if (entry == null) return undefined
    planner.begin(id, clock.now())
    this.seed(id, 'dialling')
    const deadline = new AbortController()
    const cancel = clock.after(DIAL_MS, () => deadline.abort(new Error(`no connection within ${DIAL_MS / 1000} s`)))
    try {
      const connection = await connectionManager.openConnection(
        book.targets(id).map((address) => multiaddr(address)),
        {
          signal: AbortSignal.any([signal, deadline.signal])
        }
      )
      if (connection.remotePeer.toString() !== id) throw new Error(`${connection.remotePeer} answers in its place`)
      // it may become a direct one by itself; dialling once more would only make another of its kind
      if (connection.limits != null) throw new Error('it can be reached through a relay only')
      // of a success that leaves no link there would be no end: it would be due again at once
      if (!planner.isLinked(id)) throw new Error('the connection closed at once')
      planner.dialled(id)
      if (connection.direction === 'outbound') book.worked(id, connection.remoteAddr.toString())
      this.#init.onDialled(true)
      return connection
    } catch (err) {
      if (signal.aborted) {
        planner.abandoned(id)
        return undefined
      }
      planner.failed(id, clock.now(), deadline.signal.aborted ? textOf(deadline.signal.reason) : textOf(err))
      this.#init.onDialled(false)
      this.lost(id, entry.error ?? 'failed')
      return undefined
    } finally {
      cancel()
    }
  }

  /** Tells of a seed that is connected or being dialled; nothing for other peers. */
  seed(id: string, state: SeedState): void {
    if (this.#init.book.get(id)?.seed === true) this.#tell(id, { address: this.#address(id), state })
  }

  /** Tells of a seed that is not connected any more. */
  lost(id: string, error: string): void {
    const { book, planner, clock, refusalOf } = this.#init
    if (book.get(id)?.seed !== true || planner.isLinked(id)) return
    const refusal = refusalOf(id)
    const due = refusal == null ? planner.dueAt(id) : undefined
    this.#tell(id, {
      address: this.#address(id),
      state: this.#seeds.get(id)?.state === 'connected' ? 'waiting' : 'failed',
      error: refusal ?? error,
      ...(due == null ? {} : { nextMs: Math.max(0, Math.round(due - clock.now())) })
    })
  }

  #tell(id: string, report: SeedReport): void {
    if (this.#seeds.get(id)?.state === report.state && report.error == null) return
    this.#seeds.set(id, report)
    this.#init.onSeed(report)
  }

  #address(id: string): string {
    return this.#seeds.get(id)?.address ?? this.#init.book.get(id)?.addresses[0] ?? id
  }
}

/** An error as one line: the first of several. */
export function textOf(err: unknown): string {
  const first = err instanceof AggregateError ? (err.errors[0] ?? err) : err
  const text = first instanceof Error ? first.message || first.name : String(first)
  return (text.split('\n')[0] ?? '').slice(0, 200)
}
