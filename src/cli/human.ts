import type { NodeEvent } from '../../examples/mining-node/event.js'
import type { MiningNode } from '../../examples/mining-node/index.js'
import { lineOf, SyncWatch } from '../../examples/mining-node/line.js'
import type { Output } from '../../examples/mining-node/output.js'
import { toHex } from '../hex.js'
import { liveLine, logLine, stateOf, type Welcome, welcomeLines } from './screen.js'

/** How often the live line is drawn. */
const TICK_MS = 250

/** The screen of a person: the first screen, then a line for each event and a live last line. */
export class HumanScreen {
  #timer: NodeJS.Timeout | undefined
  readonly #startedAt = Date.now()
  readonly #sync = new SyncWatch()
  #stopping = false
  /** Events from before the first screen. */
  #early: NodeEvent[] | undefined = []

  constructor(
    private readonly output: Output,
    /** Where warnings and errors go. */
    private readonly warn: (line: string) => void
  ) {}

  readonly report = (event: NodeEvent): void => {
    if (this.#early != null) {
      this.#early.push(event)
      return
    }
    // that peers leave when we go is no news
    if (this.#stopping && event.event === 'peer') return
    const line = event.event === 'sync' ? this.#sync.line(event, Date.now()) : lineOf(event)
    if (line == null) return
    const text = logLine(line, Date.now(), this.output.colour)
    if (event.event === 'error' && !this.output.isTerminal) this.warn(text)
    else this.output.line(text)
  }

  /** Draws the first screen, then what came before it, and begins with the live line. */
  welcome(welcome: Welcome, running: MiningNode): void {
    for (const line of welcomeLines(welcome)) this.output.line(line)
    const early = this.#early ?? []
    this.#early = undefined
    for (const event of early) this.report(event)
    if (!this.output.isTerminal) return
    this.#timer = setInterval(() => this.#draw(running, welcome.role), TICK_MS)
    this.#timer.unref()
    this.#draw(running, welcome.role)
  }

  /** From now on only what matters at the end. */
  stop(): void {
    this.#stopping = true
    clearInterval(this.#timer)
  }

  #draw(running: MiningNode, role: 'full' | 'seed'): void {
    const { chain, sync, peers, pool } = running.node
    const { height, hash } = chain.head
    const connected = peers.connected.size
    const state = stateOf({ role, sync: sync.state, mining: running.mining, peers: connected })
    this.output.live(
      liveLine({
        state,
        height,
        hash: toHex(hash),
        target: sync.progress.target,
        hashrate: running.hashrate,
        peers: connected,
        pool: pool.size,
        upMs: Date.now() - this.#startedAt
      })
    )
  }
}
