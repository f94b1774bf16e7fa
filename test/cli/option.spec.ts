import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  listenAddress,
  parseBlockTime,
  parseData,
  parseDial,
  parseHost,
  parseMaxInbound,
  parseName,
  parsePort,
  parseSeeds,
  parseThreads
} from '../../dist/src/cli/option.js'
import { choosePort, freePort } from '../../dist/src/cli/port.js'
import { parse } from './command-line.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const SEED_A = `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`
const SEED_B = `/dns4/example.org/tcp/5001/p2p/${ID}`

describe('blockwire node: its options', () => {
  it('has a default for everything', async () => {
    const { got } = await parse('node')
    expect(got.node).toEqual({
      port: undefined,
      host: '0.0.0.0',
      announce: [],
      seeds: [],
      mine: false,
      threads: undefined,
      data: undefined,
      name: undefined,
      role: 'full',
      maxInbound: undefined,
      blockTime: undefined,
      debugIdentity: false,
      json: false
    })
  })

  it('takes all of them, short ones too', async () => {
    const { got } = await parse(
      ...[
        'node',
        '-p',
        '5001',
        '--host',
        '127.0.0.1',
        '--announce',
        '/ip4/203.0.113.7/tcp/5001',
        '-m',
        '--threads',
        '2'
      ],
      ...['--seed', SEED_A, '--data', './data', '--name', '小明', '--role', 'full', '--block-time', '2.5'],
      ...['--debug-identity', '--json']
    )
    expect(got.node).toEqual({
      port: 5001,
      host: '127.0.0.1',
      announce: ['/ip4/203.0.113.7/tcp/5001'],
      seeds: [SEED_A],
      mine: true,
      threads: 2,
      data: './data',
      name: '小明',
      role: 'full',
      maxInbound: undefined,
      blockTime: 2.5,
      debugIdentity: true,
      json: true
    })
  })

  it.each(['full', 'light', 'seed'])('takes the role %s', async (role) => {
    expect((await parse('node', '--role', role)).got.node?.role).toBe(role)
  })

  it.each([
    ['repeated', ['--seed', SEED_A, '--seed', SEED_B]],
    ['between commas', ['--seed', `${SEED_A},${SEED_B}`]],
    ['between commas and spaces', ['--seed', ` ${SEED_A} , ${SEED_B} ,`]]
  ])('takes seeds %s', async (_how, args) => {
    const { got } = await parse('node', ...args)
    expect(got.node?.seeds).toEqual([SEED_A, SEED_B])
  })

  it.each([
    [['--prot', '1'], "unknown option '--prot' (Did you mean --port?)"],
    [['extra'], 'too many arguments'],
    [['--port', 'x'], "--port: 'x' is not a whole number from 0 to 65535"],
    [['--port', '65536'], "--port: '65536'"],
    [['--port', '-1'], '--port'],
    [['--host', 'example.org'], "--host: 'example.org' is not an IP address"],
    [['--announce', '203.0.113.7:5000'], "--announce: '203.0.113.7:5000' is no multiaddr"],
    [['--threads', '0'], "--threads: '0'"],
    [['--seed', 'nonsense'], "--seed: 'nonsense' is no multiaddr"],
    [['--seed', '/ip4/127.0.0.1/tcp/5000'], 'does not end in /p2p/<peer ID>'],
    [['--seed', '/ip4/127.0.0.1/tcp/5000/p2p/xyz'], '--seed'],
    [['--seed', `/ip4/127.0.0.1/udp/5000/p2p/${ID}`], 'is not a TCP address'],
    [['--seed', ','], '--seed: is empty'],
    [['--name', 'x'.repeat(33)], '33 bytes'],
    [['--name', 'a\u001b[31mb'], 'control characters'],
    [['--data', ' '], '--data: is empty'],
    [['--max-inbound', '5'], "unknown option '--max-inbound'"],
    [['--role', 'heavy'], "--role: 'heavy' is not a role"],
    [['--block-time', '0'], "--block-time: '0'"],
    [['--role', 'seed', '--mine'], '--mine: does not go with --role seed'],
    [['--role', 'light', '--mine'], '--mine: does not go with --role light: a light node keeps headers only'],
    [['--debug-identity', '--port', '0'], '--debug-identity']
  ])('refuses %j in one line with a hint, exit code 2', async (args, message) => {
    const { code, lines, out, got } = await parse('node', ...args)
    expect(code).toBe(2)
    expect(got).toEqual({})
    expect(out).toBe('')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain('error ')
    expect(lines[0]).toContain(message)
    expect(lines[1]).toContain('see blockwire node --help')
    expect(lines.join('')).not.toContain('\u001b')
  })

  it('proposes the command that was meant', async () => {
    const { code, lines } = await parse('nod')
    expect(code).toBe(2)
    expect(lines[0]).toBe("error command line: unknown command 'nod' (Did you mean node?)")
    expect(lines[1]).toContain('see blockwire --help')
  })

  it.each([[['--version']], [['node', '--version']]])('%j prints the version alone', async (args) => {
    expect(await parse(...args)).toMatchObject({ code: 0, out: '1.2.3\n', err: '' })
  })

  it.each([[[]], [['--help']], [['node', '--help']]])('%j prints help with examples', async (args) => {
    const { code, out } = await parse(...args)
    expect(code).toBe(0)
    expect(out).toContain('Usage: blockwire')
    if (args.length > 0) expect(out).toContain('$ blockwire node --mine')
  })

  it('never throws anything but a ConfigError, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom(
          ...[parsePort, parseThreads, parseMaxInbound, parseBlockTime, parseHost, parseName, parseData],
          ...[parseSeeds, parseDial]
        ),
        (text, parser) => {
          try {
            parser(text)
          } catch (err) {
            expect((err as Error).name).toBe('ConfigError')
          }
        }
      )
    )
  })

  it('writes the listening address for both kinds of IP', () => {
    expect(listenAddress('0.0.0.0', 5000)).toBe('/ip4/0.0.0.0/tcp/5000')
    expect(listenAddress(parseHost('[::1]'), 0)).toBe('/ip6/::1/tcp/0')
  })
})

describe('the port', () => {
  const taken =
    (...ports: number[]) =>
    async (_host: string, port: number) =>
      !ports.includes(port)

  it('is 5000 by default, or the next free one', async () => {
    expect(await choosePort('127.0.0.1', undefined, taken())).toBe(5000)
    expect(await choosePort('127.0.0.1', undefined, taken(5000, 5001))).toBe(5002)
  })

  it('is an error when asked for and taken, naming the next', async () => {
    await expect(choosePort('127.0.0.1', 7000, taken(7000))).rejects.toMatchObject({
      name: 'PortTakenError',
      code: 'BW_PORT_TAKEN',
      fix: 'choose another port: 7001 is free'
    })
  })

  it('is any for 0', async () => {
    expect(await choosePort('127.0.0.1', 0)).toBe(0)
  })

  it('cannot be had on an address of another computer', async () => {
    for (const port of [0, 5000, undefined]) {
      await expect(choosePort('192.0.2.254', port)).rejects.toMatchObject({
        name: 'ConfigError',
        message: '--host: 192.0.2.254 is not an address of this computer'
      })
    }
  })

  it('is not looked for beyond the last one', async () => {
    expect(await freePort('127.0.0.1', 65_535, taken(65_535))).toBeUndefined()
  })
})
