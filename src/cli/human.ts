import type { NodeEvent } from '../../examples/mining-node/event.js'
import type { MiningNode } from '../../examples/mining-node/index.js'
import { lineOf, SyncWatch } from '../../examples/mining-node/line.js'
import type { Output } from '../../examples/mining-node/output.js'
import { SeedWatch } from '../../examples/mining-node/seeds.js'
import { type Win, winsText } from '../../examples/mining-node/wins.js'
import { toHex } from '../hex.js'
import type { SyncProgress } from '../sync/index.js'
import { footerLines, type LivePeers, stateOf } from './footer.js'
import { logLine, type Welcome, welcomeLines } from './screen.js'

/** How often the live lines are drawn. */
const TICK_MS = 250
/** How often a long sync is told of where there are no live lines. */
const SYNC_LINE_MS = 5_000

/** After so long without anything new a sync says why. */
const STILL_MS = 3_000

/** The screen of a person: the first screen, then a line for each event and live last lines. */
export class HumanScreen {
  #timer: NodeJS.Timeout | undefined
  readonly #startedAt = Date.now()
  readonly #sync: SyncWatch
  readonly #seeds = new SeedWatch()
  #wins: Win[] = []
  /** The head that the wins are counted to, or are being counted to. */
  #winsAt = ''
  /** Where sync was when it last got on, and when that was. */
  #moved = { at: 0, place: '' }
  #stopping = false
  #rebuildAt = Number.NEGATIVE_INFINITY
  /** Events from before the first screen. */
  #early: NodeEvent[] | undefined = []

  constructor(
    private readonly output: Output,
    /** Where warnings and errors go. */
    private readonly warn: (line: string) => void
  ) {
    this.#sync = new SyncWatch(output.isTerminal ? undefined : SYNC_LINE_MS)
  }

  readonly report = (event: NodeEvent): void => {
    // it comes before the first screen, and may be long
    if (event.event === 'rebuild') {
      if (event.done || Date.now() - this.#rebuildAt < SYNC_LINE_MS) return
      this.#rebuildAt = Date.now()
      const line = lineOf(event)
      if (line != null) this.output.line(logLine(line, Date.now(), this.output.colour))
      return
    }
    if (this.#early != null) {
      this.#early.push(event)
      return
    }
    // that peers leave when we go is no news
    if (this.#stopping && event.event === 'peer') return
    if (event.event === 'seed' && !this.#seeds.note(event, Date.now())) return
    // nor are the heads of a sync, which has lines of its own
    if (event.event === 'head' && this.#sync.bulk) return
    const line = event.event === 'sync' ? this.#sync.line(event, Date.now()) : lineOf(event)
    if (line == null) return
    const text = logLine(line, Date.now(), this.output.colour)
    if (event.event === 'error' && !this.output.isTerminal) this.warn(text)
    else this.output.line(text)
  }

  /** Draws the first screen, then what came before it, and begins with the live lines. */
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

  /** Says who won, as a last word; before the node is stopped. */
  async conclude(running: MiningNode): Promise<void> {
    const text = winsText(await running.wins().catch(() => []))
    if (text != null) this.output.line(logLine({ word: 'won by', text, tone: 'plain' }, Date.now(), this.output.colour))
  }

  #draw(running: MiningNode, role: Welcome['role']): void {
    const { chain, sync, status } = running.node
    const { progress } = sync
    const hash = toHex(chain.head.hash)
    const peers = around([...status.peers.values()], hash)
    const state = stateOf({ role, sync: progress.state, mining: running.mining, peers: peers.in + peers.out })
    if (state !== 'syncing') {
      this.#moved.place = ''
      this.#countWins(running, hash)
    }
    const light = role === 'light'
    const lines = footerLines({
      state,
      light,
      progress,
      why: state === 'stalled' || (state === 'syncing' && this.#isStill(progress)) ? sync.explain().why : '',
      hash,
      hashrate: running.hashrate,
      peers,
      pool: light ? 0 : running.node.pool.size,
      balance: running.balance,
      upMs: Date.now() - this.#startedAt,
      wins: this.#wins,
      seeds: this.#seeds.absent(Date.now())
    })
    this.output.live(lines.join('\n'))
  }

  /** Has nothing come for a while? */
  #isStill({ height, target }: SyncProgress): boolean {
    const now = Date.now()
    const { at, place } = this.#moved
    const here = `${height} ${target}`
    if (here !== place) this.#moved = { at: now, place: here }
    return here === place && now - at >= STILL_MS
  }

  /** For the next drawing. */
  #countWins(running: MiningNode, head: string): void {
    if (this.#winsAt === head) return
    this.#winsAt = head
    running.wins().then(
      (wins) => {
        this.#wins = wins
      },
      // a block that cannot be read is told by the chain
      () => {}
    )
  }
}

function around(
  statuses: { connection: { direction: string }; role: string; head?: { hash: Uint8Array } }[],
  head: string
): LivePeers {
  const peers = { in: 0, out: 0, full: 0, agreed: 0 }
  for (const { connection, role, head: theirs } of statuses) {
    peers[connection.direction === 'inbound' ? 'in' : 'out']++
    if (role !== 'full' || theirs == null) continue
    peers.full++
    if (toHex(theirs.hash) === head) peers.agreed++
  }
  return peers
}
