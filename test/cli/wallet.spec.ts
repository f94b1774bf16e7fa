import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ed25519 } from 'blockwire/pow'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { amountText, parseAmount } from '../../dist/examples/mining-node/amount.js'
import { Program, temporaryDirectory } from '../helpers/process.js'
import { parse } from './command-line.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const NODE = `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`
const TO = '3fa9c1'.padEnd(64, '0')

const removals: (() => Promise<void>)[] = []

afterEach(async () => {
  await Program.killAll()
  await Promise.all(removals.splice(0).map((remove) => remove()))
})

async function directory(): Promise<string> {
  const { path, remove } = await temporaryDirectory()
  removals.push(remove)
  return path
}

describe('an amount', () => {
  it('is written in coins, and read back', () => {
    expect(['0', '12.5', '0.00000001', '1,234,567'].map((text) => parseAmount(text.replaceAll(',', '')))).toEqual([
      0n,
      1_250_000_000n,
      1n,
      123_456_700_000_000n
    ])
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), (amount) => {
        expect(parseAmount(amountText(amount).replaceAll(',', ''))).toBe(amount)
      })
    )
  })

  it.each(['', '.5', '1.', '1e3', '-1', '1,5', '0x1', '1.123456789', '184467440738', '9'.repeat(30)])(
    'is not %j',
    (text) => {
      expect(parseAmount(text)).toBeUndefined()
    }
  )
})

describe('blockwire wallet', () => {
  it('takes its options', async () => {
    expect((await parse('wallet', 'new')).got.wallet).toEqual({ action: 'new', key: 'wallet.key', json: false })
    expect((await parse('wallet', 'address', '--key', 'a', '--json')).got.wallet).toEqual({
      action: 'address',
      key: 'a',
      json: true
    })
    for (const args of [['old'], ['new', '--key', ' '], ['new', 'x']]) {
      const { code, lines, got } = await parse('wallet', ...args)
      expect([code, lines.length, got]).toEqual([2, 2, {}])
    }
    const { code, out } = await parse('wallet')
    expect([code, out]).toEqual([0, expect.stringContaining('$ blockwire wallet new')])
  })

  it('makes a key that its owner alone can read, never over another file, and shows its address', async () => {
    const file = join(await directory(), 'deep', 'my.key')
    const made = await Program.run('wallet', 'new', '--key', file, '--json')
    const [{ address }] = made.events as [{ event: string; address: string }]
    expect(made.events).toEqual([{ event: 'wallet', address, key: file, created: true }])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const secret = await readFile(file, 'utf8')
    expect(Buffer.from(ed25519.generate(Buffer.from(secret.trim(), 'hex')).publicKey).toString('hex')).toBe(address)
    const again = await Program.run('wallet', 'new', '--key', file)
    expect([again.code, again.stdout]).toEqual([2, ''])
    expect(again.stderr).toContain('is there already, and no key is overwritten')
    expect(await readFile(file, 'utf8')).toBe(secret)
    expect((await Program.run('wallet', 'address', '--key', file)).stdout).toBe(`${address}\n`)
  })

  it('says what is wrong with a file', async () => {
    const path = await directory()
    await writeFile(join(path, 'bad.key'), 'nonsense')
    const [none, bad, folder] = await Promise.all(
      ['none.key', 'bad.key', '.'].map((name) => Program.run('wallet', 'address', '--key', join(path, name), '--json'))
    )
    expect([none!.code, bad!.code, folder!.code]).toEqual([2, 1, 1])
    expect(none!.stderr).toContain("make one with 'wallet new'")
    expect(bad!.events).toMatchObject([{ event: 'error', code: 'BW_DATA_UNUSABLE' }])
    expect(folder!.events).toMatchObject([{ event: 'error', code: 'BW_DATA_UNUSABLE' }])
  })
})

describe('blockwire send: its options', () => {
  const least = ['--to', TO, '--amount', '12.5', '--node', NODE]

  it('have defaults, and are all taken', async () => {
    const some = { amount: 1_250_000_000n, node: NODE, to: Buffer.from(TO, 'hex') }
    const { got } = await parse('send', ...least)
    expect({ ...got.send, to: Buffer.from(got.send!.to) }).toEqual({
      ...some,
      fee: 0n,
      key: 'wallet.key',
      wait: undefined,
      blockTime: undefined,
      json: false
    })
    const all = await parse(
      'send',
      ...least,
      '--fee',
      '0.001',
      '--key',
      'a',
      '--wait',
      '3',
      '--block-time',
      '1',
      '--json'
    )
    expect({ ...all.got.send, to: Buffer.from(all.got.send!.to) }).toEqual({
      ...some,
      fee: 100_000n,
      key: 'a',
      wait: 3,
      blockTime: 1,
      json: true
    })
    expect((await parse('send', ...least, '--wait')).got.send!.wait).toBe(1)
  })

  it.each([
    [['--to', 'abc'], "--to: 'abc' is not an address of 64 hex digits"],
    [['--amount', '0'], '--amount: is 0'],
    [['--amount', 'much'], "--amount: 'much' is not a number of coins"],
    [['--fee', '-1'], "--fee: '-1' is not a number of coins"],
    [['--node', '/ip4/127.0.0.1/tcp/5000'], 'does not end in /p2p/<peer ID>'],
    [['--node', `${NODE},/ip4/127.0.0.1/tcp/5001/p2p/${ID}`], '--node: names two nodes'],
    [['--wait', '0'], "--wait: '0' is not a whole number from 1 to 1000"]
  ])('are refused when wrong: %j', async (args, message) => {
    const { code, lines, got } = await parse('send', ...least, ...args)
    expect([code, got, lines.length]).toEqual([2, {}, 2])
    expect(lines[0]).toContain(message)
    expect(lines[1]).toContain('see blockwire send --help')
  })

  it('are asked for', async () => {
    for (const missing of ['--to', '--amount', '--node']) {
      const at = least.indexOf(missing)
      const { code, lines } = await parse('send', ...least.slice(0, at), ...least.slice(at + 2))
      expect([code, lines[0]]).toEqual([2, expect.stringContaining(missing)])
    }
  })
})

describe('blockwire send', () => {
  const payment = (to: string, node: string, ...more: string[]): string[] => [
    ...['send', '--json', '--block-time', '0.5', '--to', to, '--node', node],
    ...more
  ]

  it('pays from the rewards of a mining node, sees it mined, and the money can be spent on', async () => {
    const path = await directory()
    const [mine, theirs] = [join(path, 'reward.key'), join(path, 'their.key')]
    const [{ address }] = (await Program.run('wallet', 'new', '--key', theirs, '--json')).events as [
      { event: string; address: string }
    ]
    const node = Program.node('--mine', '--threads', '1', '--block-time', '0.5', '--data', path)
    const { multiaddrs } = await node.event('listening')
    const [at] = multiaddrs as [string]
    const { address: own } = await node.event('balance', ({ balance }) => balance !== '0')
    expect((await Program.run('wallet', 'address', '--key', mine)).stdout).toBe(`${own}\n`)

    const paid = await Program.run(
      ...payment(address, at, '--amount', '12.5', '--fee', '0.5', '--key', mine, '--wait', '2')
    )
    expect(paid.code, paid.tail()).toBe(0)
    const [accepted, mined] = paid.events
    expect(accepted).toMatchObject({
      event: 'accepted',
      from: own,
      to: address,
      amount: '1250000000',
      fee: '50000000',
      seq: '0',
      peer: at.split('/').at(-1)
    })
    expect(mined).toMatchObject({ event: 'mined', tx: accepted!.tx, depth: 2 })
    const block = await node.event('head', ({ height, hash }) => height === mined!.height && hash === mined!.hash)
    expect(block.txs).toBe(2)

    const on = await Program.run(...payment(own as string, at, '--amount', '12.5', '--key', theirs))
    expect(on.events, on.tail()).toMatchObject([{ event: 'accepted', from: address, to: own }])
    const tooMuch = await Program.run(...payment(own as string, at, '--amount', '0.00000001', '--key', theirs))
    expect(tooMuch.code).toBe(1)
    expect(tooMuch.events).toMatchObject([{ event: 'error', code: 'BW_REFUSED' }])
    expect(tooMuch.stderr).toMatch(/too little for 0\.00000001 and a fee of 0/)
  }, 90_000)

  it('says that a node follows another chain, answers no wallets, or is not there', async () => {
    const path = await directory()
    const key = join(path, 'my.key')
    await Program.run('wallet', 'new', '--key', key)
    const [node, light] = [Program.node('--block-time', '0.5'), Program.node('--block-time', '0.5', '--role', 'light')]
    const [at] = (await node.event('listening')).multiaddrs as [string]
    const [lightAt] = (await light.event('listening')).multiaddrs as [string]
    const [other, deaf] = await Promise.all([
      Program.run('send', '--to', TO, '--amount', '1', '--key', key, '--node', at),
      Program.run(...payment(TO, lightAt, '--amount', '1', '--key', key))
    ])
    expect([other!.code, deaf!.code]).toEqual([2, 1])
    expect(other!.stderr).toMatch(/follows another chain: params.blockTime 10000 here, 500 there\n.*--block-time/)
    expect(deaf!.events).toMatchObject([{ event: 'error', code: 'BW_PEER_UNSUPPORTED' }])
    await node.signal('SIGTERM')
    const gone = await Program.run(...payment(TO, at, '--amount', '1', '--key', key))
    expect(gone.events, gone.tail()).toMatchObject([{ event: 'error', code: 'BW_UNREACHABLE' }])
    expect(gone.stderr).toContain('ECONNREFUSED')
  }, 90_000)
})
