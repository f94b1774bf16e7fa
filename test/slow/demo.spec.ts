import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Program } from '../helpers/process.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DEMO = fileURLToPath(new URL('../../dist/examples/demo/index.js', import.meta.url))
let npm: ChildProcess | undefined

afterEach(async () => {
  npm?.kill('SIGTERM')
  await Program.killAll()
})

/** Does somebody listen there? */
function listens(address: unknown): Promise<boolean> {
  const port = Number(/\/tcp\/(\d+)/.exec(String(address))?.[1])
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function ports(demo: Program, count: number): Promise<unknown[]> {
  const listening = (): unknown[] =>
    demo.events.filter(({ event }) => event === 'listening').map(({ multiaddrs }) => (multiaddrs as string[])[0])
  await demo.until(`${count} nodes that listen`, () => listening().length >= count, 30_000)
  return listening()
}

describe('npm start', () => {
  it('-- --for 20 --json mines with four nodes, ends on one head, exits 0', async () => {
    npm = spawn('npm', ['start', '--silent', '--', '--for', '20', '--json'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let out = ''
    npm.stdout!.setEncoding('utf8').on('data', (text) => {
      out += text
    })
    const code = await new Promise((resolve) => npm!.once('close', resolve))
    const lines = out.trimEnd().split('\n')
    const events = lines.map((line) => JSON.parse(line))
    const result = events.at(-1)
    expect(result, lines.slice(-5).join('\n')).toMatchObject({ event: 'result', agreed: true })
    expect(code).toBe(0)
    const wins = Object.values(result.wins as Record<string, number>)
    expect(wins.reduce((sum, blocks) => sum + blocks, 0)).toBe(result.height)
    expect(new Set(events.map(({ node }) => node))).toEqual(new Set(['seed', 'ada', 'bob', 'cho', 'dan', undefined]))
    for (const { multiaddrs } of events.filter(({ event }) => event === 'listening')) {
      expect(await listens(multiaddrs[0])).toBe(false)
    }
  }, 120_000)

  it('stops all its nodes on Ctrl-C', async () => {
    const demo = new Program(DEMO, ['--json'])
    const addresses = await ports(demo, 4)
    expect(await demo.signal('SIGINT'), demo.tail()).toBe(0)
    for (const address of addresses) expect(await listens(address)).toBe(false)
    expect(demo.events.filter(({ event }) => event === 'stopped')).toHaveLength(4)
  }, 60_000)

  it('leaves no node behind when it is killed', async () => {
    const demo = new Program(DEMO, ['--json'])
    const addresses = await ports(demo, 4)
    await demo.signal('SIGKILL')
    for (const address of addresses)
      await vi.waitUntil(async () => !(await listens(address)), { timeout: 10_000, interval: 100 })
  }, 60_000)

  it('-- --for x is a usage error', async () => {
    const demo = new Program(DEMO, ['--for', 'x'])
    expect(await demo.exit).toBe(2)
    expect(demo.stderr).toContain("--for: 'x' is not a number of seconds")
  })
})
