import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, it } from 'vitest'
import { bareHost, stopHosts } from '../chat/hosts.js'
import { CLI, Program } from '../helpers/process.js'

/** util-linux's `script` runs a program in a terminal of its own. */
const noTerminal = spawnSync('script', ['--version']).stdout?.includes('util-linux')
  ? undefined
  : 'util-linux script is missing'
if (noTerminal != null) console.warn(`chat in a terminal is skipped: ${noTerminal}`)

/** A chat in a terminal, and all that was drawn there. */
class Terminal {
  static readonly #all = new Set<ChildProcess>()
  screen = ''
  readonly exit: Promise<number | null>
  readonly #child: ChildProcess
  #wake: () => void = () => {}

  constructor(...args: string[]) {
    const command = [process.execPath, CLI, 'chat', '--host', '127.0.0.1', '--port', '0', ...args].join(' ')
    this.#child = spawn('script', ['-qfec', command, '/dev/null'], { env: { ...process.env, TERM: 'xterm' } })
    Terminal.#all.add(this.#child)
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.screen += text
      this.#wake()
    })
    this.exit = new Promise((resolve) => this.#child.once('close', resolve))
  }

  static killAll(): void {
    for (const child of Terminal.#all) child.kill('SIGKILL')
    Terminal.#all.clear()
  }

  type(text: string): void {
    this.#child.stdin!.write(text)
  }

  async until(what: string, shown: (screen: string) => boolean, ms = 30_000): Promise<void> {
    const deadline = Date.now() + ms
    while (!shown(this.screen)) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${what} was not shown; the end: ${JSON.stringify(this.screen.slice(-400))}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

afterEach(async () => {
  Terminal.killAll()
  await Program.killAll()
  await stopHosts()
})

describe.skipIf(noTerminal != null)('a chat in a terminal', () => {
  it('keeps what is being typed while others talk, answers commands, and obeys nothing that it is sent', async () => {
    const listener = Program.chat('--json')
    const address = await listener.address()
    const terminal = new Terminal('-d', address)
    await terminal.until('who is there', (screen) => screen.includes('joined') && screen.includes('> '))
    terminal.type('half a li')
    await terminal.until('what is typed', (screen) => screen.includes('half a li'))
    const before = terminal.screen.length
    listener.type('meanwhile\u001b[7;7H\u001b]0;title\u0007\u009b2J\u0008 said\n')
    await terminal.until('the line and what was typed', (screen) =>
      /meanwhile.*said[\s\S]*> half a li/.test(screen.slice(before))
    )
    expect(terminal.screen).toContain('meanwhile[7;7H]0;title2J said')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(terminal.screen).not.toMatch(/\u001b\[7;7H|\u001b\]0|[\u0007\u009b\u0008]/)
    terminal.type('ne\r')
    await listener.event('line', ({ text }) => text === 'half a line')
    terminal.type('/who\r')
    await terminal.until(
      'who is here',
      (screen) => screen.includes('you\r\n') && screen.includes(`-- ${address.slice(-8)}`)
    )
    terminal.type('/quit\r')
    expect(await terminal.exit).toBe(0)
    expect(await listener.event('closed')).toMatchObject({ reason: 'left' })
    expect(listener.events.filter(({ event }) => event === 'line')).toHaveLength(1)
  }, 90_000)

  it('is not brought down by one who sends a hundred thousand lines at once, and can be left meanwhile', async () => {
    const terminal = new Terminal('--no-color')
    await terminal.until('the address', (screen) => screen.includes('> '))
    const [address] = /\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w+/.exec(terminal.screen) ?? []
    const host = await bareHost('tcp')
    const stream = await host.dialProtocol(multiaddr(address!), '/chat/1.0.0')
    const piece = new TextEncoder().encode('\u001b[2Jx\n'.repeat(10_000))
    for (let n = 0; n < 10; n++) stream.send(piece)
    await terminal.until('some of it', (screen) => screen.split('[2Jx').length > 100)
    terminal.type('/quit\r')
    expect(await terminal.exit).toBe(0)
    expect(terminal.screen).not.toContain('\u001b[2J')
  }, 120_000)
})
