import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { afterEach, describe, expect, it } from 'vitest'
import { lineOf } from '../../dist/examples/mining-node/line.js'
import { SeedWatch } from '../../dist/examples/mining-node/seeds.js'
import { debugKey } from '../../dist/src/cli/debug-key.js'
import { jsonLine } from '../../dist/src/cli/json.js'
import { freePort } from '../helpers/port.js'
import { arrivalOf, type CliEvent, Program, temporaryDirectory } from '../helpers/process.js'

afterEach(() => Program.killAll())

/** A port where nobody listens, and the address of the seed that will. */
async function absentSeed(): Promise<{ port: number; address: string }> {
  const port = await freePort()
  const id = peerIdFromPrivateKey(await debugKey(port))
  return { port, address: `/ip4/127.0.0.1/tcp/${port}/p2p/${id}` }
}

const state = (wanted: string) => (event: CliEvent) => event.state === wanted
const count = (program: Program, text: string): number => program.stdout.split(text).length - 1

describe('a node with a seed', () => {
  it('that starts later tells programs of every failed attempt, then of the connection, and of its loss', async () => {
    const { port, address } = await absentSeed()
    const node = Program.node('--seed', address)
    const failures = () => node.events.filter(({ event, state }) => event === 'seed' && state === 'failed')
    await node.until('two failed attempts', () => failures().length >= 2)
    for (const { nextMs, ...failure } of failures()) {
      expect(failure).toEqual({
        event: 'seed',
        address,
        state: 'failed',
        error: expect.stringContaining('ECONNREFUSED')
      })
      expect(nextMs).toBeGreaterThan(0)
      expect(nextMs).toBeLessThanOrEqual(10_000)
    }

    const seed = Program.seed('--debug-identity', '-p', String(port))
    expect(await node.event('seed', state('connected'))).toEqual({ event: 'seed', address, state: 'connected' })
    await node.event('peer', ({ action, peer }) => action === 'join' && address.endsWith(String(peer)))
    await seed.event('peer', ({ action }) => action === 'join')

    expect(await seed.signal('SIGTERM')).toBe(0)
    expect(await node.event('seed', state('waiting'))).toEqual({
      event: 'seed',
      address,
      state: 'waiting',
      error: expect.any(String),
      nextMs: expect.any(Number)
    })
    await node.until(
      'an attempt to reach it again',
      () => node.events.findLast(({ event }) => event === 'seed')?.state === 'failed'
    )
    expect(await node.signal('SIGTERM')).toBe(0)
    expect(node.events.filter(state('dialling'))).toEqual([])
  }, 60_000)

  it('that starts later tells people what is new of it, once', async () => {
    const { port, address } = await absentSeed()
    const node = Program.cli('node', '--host', '127.0.0.1', '--port', '0', '--seed', address)
    // as patient as the one that is looked at
    const clock = Program.node('--seed', address)
    await node.until('the failure', () => node.stdout.includes(' not reached: '))
    await clock.until('some attempts', () => clock.events.filter(state('failed')).length >= 2)
    expect(count(node, ' not reached: ')).toBe(1)
    expect(node.stdout).toMatch(new RegExp(`  seed {4}${address} not reached: .*ECONNREFUSED.*; next try in \\d+ s\\n`))

    const seed = Program.seed('--debug-identity', '-p', String(port))
    await node.until('that it is there', () => node.stdout.includes(`  seed    ${address} reached\n`))
    expect(await seed.signal('SIGTERM')).toBe(0)
    await node.until('its loss', () => / {2}seed {4}\S+ lost: .+; next try in \d+ s\n/.test(node.stdout))
    await node.until('the next failure', () => count(node, ' not reached: ') === 2)
    expect(await node.signal('SIGINT')).toBe(0)
    expect(node.stderr).toBe('')
  }, 60_000)

  it('that is killed finds its peers again without being told of any', async () => {
    const data = await temporaryDirectory()
    try {
      const chain = ['--block-time', '0.5']
      const seed = Program.seed(...chain)
      const address = await seed.address()
      const miner = Program.node('--mine', '--threads', '1', ...chain, '--seed', address)
      const [minerId] = [(await miner.address()).split('/').at(-1)]
      const first = Program.node('--data', data.path, ...chain, '--seed', address)
      const isMiner = ({ action, peer }: CliEvent): boolean => action === 'join' && peer === minerId
      const joined = arrivalOf(await first.event('peer', isMiner))
      // what it knows is written a second later
      await first.until('a block three seconds later', () =>
        first.events.some((event) => arrivalOf(event) > joined + 3000)
      )
      expect(await first.signal('SIGKILL')).toBeNull()
      expect(await seed.signal('SIGTERM')).toBe(0)
      const again = Program.node('--data', data.path, ...chain)
      await again.event('peer', isMiner)
      expect(await again.signal('SIGTERM')).toBe(0)
    } finally {
      await Program.killAll()
      await data.remove()
    }
  }, 90_000)

  it('has nothing to tell people when the seed is there, nor when it leaves it', async () => {
    const seed = Program.seed()
    const address = await seed.address()
    const node = Program.cli('node', '--host', '127.0.0.1', '--port', '0', '--seed', address)
    const program = Program.node('--seed', address)
    await node.until('the peer', () => node.stdout.includes('joined'))
    await program.event('seed', state('connected'))
    expect([await node.signal('SIGTERM'), await program.signal('SIGTERM')]).toEqual([0, 0])
    expect(node.stdout).not.toMatch(/^\S+ {2}seed /m)
    expect(program.events.filter(({ event }) => event === 'seed')).toHaveLength(1)
  })
})

describe('of what happens to a seed', () => {
  const seed = { event: 'seed', address: '/dns4/seed.example/tcp/1' } as const
  const REFUSED = { ...seed, state: 'failed', error: 'refused', nextMs: 2_000 } as const
  const LOST = { ...seed, state: 'waiting', error: 'closed', nextMs: 1_000 } as const
  const DIALLING = { ...seed, state: 'dialling' } as const
  const CONNECTED = { ...seed, state: 'connected' } as const

  it('failures are news once, and again for another reason; so are a loss, and the end of either', () => {
    const watch = new SeedWatch()
    const events = [
      ...[DIALLING, CONNECTED, LOST, DIALLING, CONNECTED],
      ...[DIALLING, REFUSED, DIALLING, REFUSED, { ...REFUSED, error: 'no route' }, REFUSED, DIALLING, CONNECTED],
      ...[LOST, REFUSED]
    ]
    expect(events.map((event) => watch.note(event, 0))).toEqual([
      ...[false, false, true, false, true],
      ...[false, true, false, false, true, true, false, true],
      ...[true, true]
    ])
  })

  it('there is to see what went wrong last, and how long until the next attempt', () => {
    const watch = new SeedWatch()
    expect(watch.absent(0)).toEqual([])
    const { address } = seed
    watch.note(DIALLING, 0)
    expect(watch.absent(0)).toEqual([{ address, trouble: undefined, error: '', dialling: true, nextMs: undefined }])
    watch.note(REFUSED, 1_000)
    expect(watch.absent(1_500)).toEqual([
      { address, trouble: 'failed', error: 'refused', dialling: false, nextMs: 1_500 }
    ])
    expect(watch.absent(3_000)[0]?.nextMs).toBeUndefined()
    watch.note(DIALLING, 3_000)
    expect(watch.absent(3_000)).toEqual([
      { address, trouble: 'failed', error: 'refused', dialling: true, nextMs: undefined }
    ])
    watch.note(CONNECTED, 4_000)
    expect(watch.absent(4_000)).toEqual([])
    watch.note(LOST, 5_000)
    expect(watch.absent(5_000)[0]).toMatchObject({ trouble: 'waiting', error: 'closed', nextMs: 1_000 })
  })

  it('people get a line, programs an event, neither when an attempt begins', () => {
    const lines = [DIALLING, REFUSED, LOST, { ...LOST, nextMs: 0 }, CONNECTED].map((event) => lineOf(event)?.text)
    expect(lines).toEqual([
      undefined,
      '/dns4/seed.example/tcp/1 not reached: refused; next try in 2 s',
      '/dns4/seed.example/tcp/1 lost: closed; next try in 1 s',
      '/dns4/seed.example/tcp/1 lost: closed',
      '/dns4/seed.example/tcp/1 reached'
    ])
    expect(jsonLine(DIALLING)).toBeUndefined()
    expect(JSON.parse(jsonLine(REFUSED)!)).toEqual(REFUSED)
    expect(JSON.parse(jsonLine(CONNECTED)!)).toEqual(CONNECTED)
  })
})
