import type { Logger, PeerId } from '@libp2p/interface'
import { ignore } from '../chain/index.js'
import type { BusyError } from '../errors.js'
import type { Action } from './action.js'
import type { HeaderIntake } from './header-intake.js'
import type { Neighbours } from './neighbours.js'
import type { Planner } from './planner.js'
import type { SyncChain } from './port.js'
import type { Asked, Requester } from './requester.js'

type HeadersAction = Extract<Action, { do: 'headers' }>
type BodiesAction = Extract<Action, { do: 'bodies' }>

/** Does what the planner decides, and tells it what came of it. */
export class Downloads {
  /** Of the requests under way, by the planner's numbers. */
  readonly #aborts = new Map<number, AbortController>()
  readonly #tasks = new Set<Promise<void>>()
  #run = new AbortController()

  constructor(
    private readonly chain: SyncChain,
    private readonly planner: Planner,
    private readonly requester: Requester,
    private readonly neighbours: Neighbours,
    private readonly log: Logger,
    /** Something happened: decide again. */
    private readonly evaluate: () => void,
    private readonly intake: HeaderIntake
  ) {}

  start(): void {
    this.#run = new AbortController()
  }

  /** Aborts everything. Resolves when all of it has ended. */
  async stop(): Promise<void> {
    this.#run.abort(new Error('sync stops'))
    this.#aborts.clear()
    await Promise.all(this.#tasks)
  }

  act(action: Action): void {
    switch (action.do) {
      case 'headers':
        this.#ask(action, (asked) => this.#headers(action, asked))
        break
      case 'bodies':
        this.#ask(action, (asked) => this.#bodies(action, asked))
        break
      case 'import':
        this.#track(this.#import(action.blocks))
        break
      case 'cancel':
        this.#aborts.get(action.id)?.abort(new Error('not wanted any more'))
        this.#aborts.delete(action.id)
        break
      case 'park':
        this.chain.park(action.hash)
        this.planner.changed()
        this.evaluate()
        break
      case 'judge':
        this.#withPeer(action.peer, (peer) => this.neighbours.judge(peer, action.verdict, action.via))
        break
      case 'fault':
        this.#withPeer(action.peer, (peer) => this.neighbours.fault(peer, action.fault, action.reason))
    }
  }

  async #headers({ id, peer, from }: HeadersAction, asked: Asked): Promise<boolean> {
    const start = from == null ? undefined : this.chain.locate(from.hash)
    const { locator, take } = this.intake.way(this.planner.sources.get(peer), start, asked.signal)
    const pages = this.requester.headers(asked, locator, undefined, async (headers) => {
      let bytes = 0
      for (const header of headers) bytes += header.length
      this.planner.taking(id, true, bytes)
      try {
        return await take(headers)
      } finally {
        this.planner.taking(id, false)
      }
    })
    for (;;) {
      const { done, value } = await pages.next()
      if (done) return value
      this.planner.headers(id, value)
      this.evaluate()
    }
  }

  async #bodies({ id, places, by }: BodiesAction, asked: Asked): Promise<boolean> {
    const pages = this.requester.bodies(asked, places, by)
    for (;;) {
      const { done, value } = await pages.next()
      if (done) return value
      this.planner.bodies(id, value)
      this.neighbours.useful(asked.peer)
      this.evaluate()
    }
  }

  #ask({ id, peer: name }: HeadersAction | BodiesAction, request: (asked: Asked) => Promise<boolean>): void {
    const status = this.neighbours.peer(name)
    if (status == null) {
      this.planner.failed(id, { name: 'StreamLostError' })
      return
    }
    const abort = new AbortController()
    this.#aborts.set(id, abort)
    const { peer, connection } = status
    const signal = AbortSignal.any([abort.signal, this.#run.signal])
    const task = async (): Promise<void> => {
      try {
        const more = await request({ peer, connection, signal })
        this.planner.done(id, more)
      } catch (err) {
        if (signal.aborted) return
        this.log.trace('request %d to %p failed - %e', id, peer, err)
        this.neighbours.failed(peer, err)
        this.planner.failed(id, { name: (err as Error).name, retryMs: (err as BusyError).retryMs })
      } finally {
        this.#aborts.delete(id)
      }
    }
    this.#track(task())
  }

  async #import(blocks: Uint8Array[]): Promise<void> {
    const { signal } = this.#run
    try {
      this.planner.imported(await this.chain.addBlocks(blocks, { signal }))
    } catch (err) {
      if (signal.aborted) return
      this.log.error('import of %d blocks failed - %e', blocks.length, err)
      this.planner.imported({ verdict: ignore('error', (err as Error).message), added: 0, index: 0 })
    }
  }

  #withPeer(id: string, task: (peer: PeerId) => void): void {
    const peer = this.neighbours.peer(id)?.peer
    if (peer != null) task(peer)
  }

  #track(task: Promise<void>): void {
    const tracked = task
      .catch((err) => this.log.error('%e', err))
      .then(() => {
        this.#tasks.delete(tracked)
        this.evaluate()
      })
    this.#tasks.add(tracked)
  }
}
