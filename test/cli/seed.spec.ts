import { readdir } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { Program, temporaryDirectory } from '../helpers/process.js'
import { parse } from './command-line.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const OTHER = `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`

afterEach(() => Program.killAll())

const idOf = (address: string): string => address.split('/').at(-1)!

describe('blockwire seed: its options', () => {
  it('have defaults', async () => {
    expect((await parse('seed')).got).toEqual({
      seed: {
        port: undefined,
        host: '0.0.0.0',
        announce: [],
        seeds: [],
        data: undefined,
        maxInbound: 256,
        blockTime: undefined,
        debugIdentity: false,
        json: false
      }
    })
  })

  it('are all taken', async () => {
    const { got } = await parse(
      ...['seed', '-p', '7000', '--host', '127.0.0.1', '--announce', '/ip4/203.0.113.7/tcp/7000', '--seed', OTHER],
      ...['--data', './seed', '--max-inbound', '10000', '--block-time', '2.5', '--debug-identity', '--json']
    )
    expect(got.seed).toEqual({
      port: 7000,
      host: '127.0.0.1',
      announce: ['/ip4/203.0.113.7/tcp/7000'],
      seeds: [OTHER],
      data: './seed',
      maxInbound: 10_000,
      blockTime: 2.5,
      debugIdentity: true,
      json: true
    })
  })

  it.each([
    [['--max-inbound', '0'], "--max-inbound: '0' is not a whole number from 1 to 10000"],
    [['--max-inbound', '10001'], "--max-inbound: '10001'"],
    [['--max-inbound', 'many'], "--max-inbound: 'many'"],
    [['--max-inbuond', '5'], "unknown option '--max-inbuond' (Did you mean --max-inbound?)"],
    [['--mine'], "unknown option '--mine'"],
    [['--role', 'full'], "unknown option '--role'"],
    [['--seed', '/ip4/127.0.0.1/tcp/5000'], 'does not end in /p2p/<peer ID>'],
    [['--port', '65536'], "--port: '65536'"],
    [['--block-time', '0'], "--block-time: '0'"],
    [['--data', ''], '--data: is empty'],
    [['--debug-identity', '-p', '0'], '--debug-identity'],
    [[OTHER], 'too many arguments']
  ])('are refused when wrong: %j', async (args, message) => {
    const { code, lines, out, got } = await parse('seed', ...args)
    expect([code, out, got]).toEqual([2, '', {}])
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain(message)
    expect(lines[1]).toContain('see blockwire seed --help')
  })

  it('are explained with examples, and the command is in the list', async () => {
    const { code, out } = await parse('seed', '--help')
    expect(code).toBe(0)
    for (const part of ['--max-inbound', '5000', 'Examples:', '$ blockwire seed --data']) expect(out).toContain(part)
    for (const option of ['--mine', '--threads', '--role', '--name']) expect(out).not.toContain(option)
    expect((await parse('--help')).out).toMatch(/^ {2}seed \[options\] /m)
    expect((await parse('seed', '-V')).out).toBe('1.2.3\n')
  })
})

describe('blockwire seed', () => {
  it('brings nodes together that know only the seed, and both end on SIGTERM with exit code 0', async () => {
    const seed = Program.seed()
    const address = await seed.address()
    const node = Program.node('--seed', address)
    const third = Program.node('--seed', address)
    const joined = async (one: Program, other: Program): Promise<void> => {
      const id = idOf(await other.address())
      await one.event('peer', ({ action, peer }) => action === 'join' && peer === id)
    }
    await Promise.all([joined(node, seed), joined(seed, node), joined(seed, third), joined(node, third)])

    expect(await node.signal('SIGTERM')).toBe(0)
    await seed.event('peer', ({ action }) => action === 'leave')
    expect(await seed.signal('SIGTERM')).toBe(0)
    expect(seed.events[0]).toEqual({ event: 'listening', multiaddrs: [address] })
    expect(seed.events.at(-1)).toMatchObject({ event: 'stopped', height: 0 })
    expect(seed.stdout.trimEnd().split('\n')).toHaveLength(seed.events.length)
    expect(seed.stderr + node.stderr).toBe('')
  })

  it('shows the command for the nodes, with the block time that they need', async () => {
    const seed = Program.cli('seed', '--host', '127.0.0.1', '-p', '0', '--block-time', '2')
    await seed.until('the first screen', () => seed.stdout.includes('next'))
    expect(seed.stdout).toContain('  you      seed, introduces peers   12D3KooW')
    const command = /npx blockwire node (--seed \/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/p2p\/\w+ --block-time 2)\n/
    const [, args] = command.exec(seed.stdout) ?? []
    expect(args, seed.tail()).toBeDefined()
    const node = Program.node(...args!.split(' '))
    await node.event('peer', ({ action }) => action === 'join')
    await seed.until('the line of the peer', () => seed.stdout.includes('joined'))
    expect(await seed.signal('SIGINT')).toBe(0)
    expect(seed.stdout + seed.stderr).not.toContain('\u001b')
  })

  it('lets in as many as it was told, and tells the one that has to go why', async () => {
    const seed = Program.seed('--max-inbound', '1')
    const address = await seed.address()
    const first = Program.node('--seed', address)
    await first.event('peer', ({ action }) => action === 'join')
    const second = Program.node('--seed', address)
    // the second, or on a slow machine the first, which then has been here for a while
    const isTold = ({ events }: Program): boolean =>
      events.some(({ action, reason }) => action === 'leave' && reason === 'too many peers')
    await second.until('one of them to be told', () => isTold(first) || isTold(second))
    expect(isTold(first) && isTold(second)).toBe(false)
  })

  it('keeps its identity in its directory, and no key for rewards', async () => {
    const data = await temporaryDirectory()
    try {
      const ids = []
      for (let run = 0; run < 2; run++) {
        const seed = Program.seed('--data', data.path)
        ids.push(idOf(await seed.address()))
        expect(await seed.signal('SIGTERM')).toBe(0)
      }
      expect(ids[0]).toBe(ids[1])
      expect((await readdir(data.path)).filter((name) => name.endsWith('.key'))).toEqual(['identity.key'])
    } finally {
      await data.remove()
    }
  })

  it('names itself in what it says about a host that is not of this computer', async () => {
    const seed = await Program.run('seed', '--host', '192.0.2.254')
    expect(seed.code).toBe(2)
    expect(seed.stderr).toContain('192.0.2.254 is not an address of this computer')
    expect(seed.stderr).toContain('see blockwire seed --help')
  })
})
