/** One node of the demo: a process that runs `blockwire node --json`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { NodeEvent } from '../mining-node/event.js'
import { type Line, SyncWatch } from '../mining-node/line.js'
import { SeedWatch } from '../mining-node/seeds.js'

const CLI = fileURLToPath(new URL('../../src/cli/index.js', import.meta.url))
/** A process that has not ended by itself then is killed. */
const STOP_MS = 4_000

export class Member {
  /** Undefined before the first block. */
  head: { height: number; hash: string } | undefined
  state = 'starting'
  peers = 0
  mined = 0
  /** The address to join through. Rejects when the process ends before it listens. */
  readonly address: Promise<string>
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess
  readonly #sync = new SyncWatch()
  readonly #seeds = new SeedWatch()
  #stopping = false

  constructor(
    readonly name: string,
    args: string[],
    onEvent: (member: Member, event: NodeEvent) => void,
    onStderr: (member: Member, line: string) => void
  ) {
    // the channel carries our requests, and tells the process when we are gone
    const child = spawn(process.execPath, [CLI, 'node', '--json', '--name', name, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    this.#child = child
    // a process that cannot be spoken to any more has ended, which `ended` says
    child.on('error', () => {})
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => resolve(code))
      child.once('error', () => resolve(null))
    })
    let listens: (address: string) => void = () => {}
    this.address = new Promise((resolve, reject) => {
      listens = resolve
      this.ended.then((code) => reject(new Error(`${name} ended with exit code ${code} before it listened`)))
    })
    this.address.catch(() => {})
    this.ended.then(() => {
      this.state = this.#stopping ? 'stopped' : 'died'
    })
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const event = JSON.parse(line) as NodeEvent
      this.#note(event)
      if (event.event === 'listening') listens(event.multiaddrs[0] ?? '')
      onEvent(this, event)
    })
    createInterface({ input: child.stderr! }).on('line', (line) => onStderr(this, line))
  }

  /** The line for a sync that is over. */
  synced(event: Extract<NodeEvent, { event: 'sync' }>): Line | undefined {
    return this.#sync.line(event, Date.now())
  }

  /** Is this worth a line? */
  isNews(event: Extract<NodeEvent, { event: 'seed' }>): boolean {
    return this.#seeds.note(event, Date.now())
  }

  get alive(): boolean {
    return this.state !== 'died' && this.state !== 'stopped'
  }

  /** The node stays connected and follows the others. */
  stopMining(): void {
    if (this.#child.connected) this.#child.send('stop mining')
  }

  /** Ends the process, by force where it does not end itself. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#child.connected) this.#child.send('stop')
    const timer = setTimeout(() => this.kill(), STOP_MS)
    await this.ended
    clearTimeout(timer)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #note(event: NodeEvent): void {
    if (event.event === 'listening') this.state = 'up'
    else if (event.event === 'head') this.head = { height: event.height, hash: event.hash }
    else if (event.event === 'mined') this.mined++
    else if (event.event === 'peer') this.peers += event.action === 'join' ? 1 : -1
    else if (event.event === 'sync') this.state = event.state
  }
}
