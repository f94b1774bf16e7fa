import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const CLI = fileURLToPath(new URL('../../dist/src/cli/index.js', import.meta.url))

/** One line of `--json` output. */
export interface CliEvent {
  event: string
  [field: string]: unknown
}

/** When each event came, in ms since 1970. */
const arrivals = new WeakMap<CliEvent, number>()

export function arrivalOf(event: CliEvent): number {
  return arrivals.get(event) ?? Number.NaN
}

/** A program of the build as a child process, with its output at hand. Killed by `killAll` whatever happens. */
export class Program {
  static #all = new Set<Program>()

  readonly child: ChildProcess
  /** All of it, as it came. */
  stdout = ''
  stderr = ''
  /** The lines of stdout that are JSON, in order. */
  readonly events: CliEvent[] = []
  /** Exit code, or null when a signal ended it. */
  readonly exit: Promise<number | null>
  code: number | null | undefined
  #rest = ''
  /** What is waited for, in any of the programs: a condition may look at several. */
  static #watchers = new Set<() => void>()

  constructor(file: string, args: string[], env: NodeJS.ProcessEnv = {}, stdin: 'ignore' | 'pipe' = 'ignore') {
    this.child = spawn(process.execPath, [file, ...args], {
      stdio: [stdin, 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env }
    })
    Program.#all.add(this)
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) {
        if (!line.startsWith('{')) continue
        const event = JSON.parse(line) as CliEvent
        arrivals.set(event, Date.now())
        this.events.push(event)
      }
      this.#wake()
    })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#wake()
    })
    this.exit = new Promise((resolve) => {
      this.child.once('close', (code) => {
        this.code = code
        Program.#all.delete(this)
        resolve(code)
        this.#wake()
      })
    })
  }

  /** `blockwire ...args`. */
  static cli(...args: string[]): Program {
    return new Program(CLI, args)
  }

  /** `blockwire node --json` on this computer, on a free port unless `args` name one. */
  static node(...args: string[]): Program {
    return Program.cli('node', '--json', ...here(args))
  }

  /** `blockwire seed --json`, likewise. */
  static seed(...args: string[]): Program {
    return Program.cli('seed', '--json', ...here(args))
  }

  /** `blockwire chat ...args`, likewise, with a stdin to `type` into. */
  static chat(...args: string[]): Program {
    const program = new Program(CLI, ['chat', ...here(args)], {}, 'pipe')
    // a program that has ended reads no more, which is what some tests are about
    program.child.stdin!.on('error', () => {})
    return program
  }

  /** Runs to its end. */
  static async run(...args: string[]): Promise<Program> {
    const program = Program.cli(...args)
    await program.until('its end', () => program.code !== undefined)
    return program
  }

  /** For `afterEach`: nothing that a test started outlives it. */
  static async killAll(): Promise<void> {
    const all = [...Program.#all]
    for (const program of all) program.child.kill('SIGKILL')
    await Promise.all(all.map(({ exit }) => exit))
  }

  /** The first event that matches, past ones included. */
  async event(name: string, matches: (event: CliEvent) => boolean = () => true, ms?: number): Promise<CliEvent> {
    let found: CliEvent | undefined
    await this.until(
      `event '${name}'`,
      () => {
        found = this.events.find((event) => event.event === name && matches(event))
        return found != null
      },
      ms
    )
    return found!
  }

  /** The address to join through. */
  async address(): Promise<string> {
    const { multiaddrs } = await this.event('listening')
    return (multiaddrs as string[])[0]!
  }

  /** Height of the last head that it told. */
  get height(): number {
    return Number(this.events.findLast(({ event }) => event === 'head')?.height ?? 0)
  }

  get head(): string | undefined {
    return this.events.findLast(({ event }) => event === 'head')?.hash as string | undefined
  }

  /** Waits for a condition that its output, or that of another program, makes true. Rejects after `ms`, or when the process ends first. */
  until(what: string, condition: () => boolean, ms = 20_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(`${what} did not come in ${ms} ms`), ms)
      const done = (problem?: string): void => {
        clearTimeout(timer)
        Program.#watchers.delete(check)
        if (problem == null) resolve()
        else reject(new Error(`${problem}; ${this.tail()}`))
      }
      const check = (): void => {
        if (condition()) done()
        else if (this.code !== undefined) done(`the process ended with ${this.code} before ${what}`)
      }
      Program.#watchers.add(check)
      check()
    })
  }

  /** The node stays connected and follows the others. */
  stopMining(): void {
    this.child.send('stop mining')
  }

  /** Writes to its stdin. */
  type(text: string): void {
    this.child.stdin!.write(text)
  }

  /** Sends a signal and resolves with the exit code. */
  signal(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal)
    return this.exit
  }

  /** The last lines of both outputs, for messages. */
  tail(): string {
    const last = (text: string): string => text.trimEnd().split('\n').slice(-8).join('\n  ')
    return `last lines of stdout:\n  ${last(this.stdout)}\nof stderr:\n  ${last(this.stderr)}`
  }

  #wake(): void {
    for (const check of [...Program.#watchers]) check()
  }
}

function here(args: string[]): string[] {
  const port = args.some((arg) => arg === '--port' || arg === '-p') ? [] : ['--port', '0']
  return ['--host', '127.0.0.1', ...port, ...args]
}

/** A new directory; `remove` deletes it with all that is in it. */
export async function temporaryDirectory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'blockwire-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}
