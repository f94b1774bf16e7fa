import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode } from 'blockwire'
import { growChain, testRules } from 'blockwire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

describe('a data directory', () => {
  let dir: string
  const rules = testRules({ network: 'keep' })

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'blockwire-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('keeps the chain and the identity', async () => {
    const first = await createNode({ rules, dataDir: dir })
    await growChain(first.chain, 5)
    const { head } = first.chain
    await first.stop()
    await using again = await createNode({ rules, dataDir: dir })
    expect(again.peerId.equals(first.peerId)).toBe(true)
    expect(again.chain.head).toMatchObject({ height: 5, hash: head.hash })
    expect((await stat(join(dir, 'identity.key'))).mode & 0o777).toBe(0o600)
  })

  it('is refused while another node has it open, and says who', async () => {
    await using node = await createNode({ rules, dataDir: dir })
    expect(node.chain.head.height).toBe(0)
    await expect(createNode({ rules, dataDir: dir })).rejects.toMatchObject({
      name: 'DataLockedError',
      code: 'BW_DATA_LOCKED',
      message: expect.stringContaining(`process ${process.pid}`)
    })
  })

  it('is refused when it holds another chain', async () => {
    await (await createNode({ rules, dataDir: dir })).stop()
    const other = testRules({ network: 'keep', params: { reward: 7 } })
    await expect(createNode({ rules: other, dataDir: dir })).rejects.toMatchObject({ name: 'DataForeignError' })
    // and the refusal leaves it usable
    await (await createNode({ rules, dataDir: dir })).stop()
  })

  it('is refused when it cannot be a directory', async () => {
    const file = join(dir, 'file')
    await writeFile(file, 'x')
    await expect(createNode({ rules, dataDir: file })).rejects.toMatchObject({ name: 'DataUnusableError' })
    await expect(createNode({ rules, dataDir: join(file, 'below') })).rejects.toMatchObject({
      name: 'DataUnusableError'
    })
  })

  it('never overwrites a damaged identity', async () => {
    await (await createNode({ rules, dataDir: dir })).stop()
    await writeFile(join(dir, 'identity.key'), 'garbage')
    await expect(createNode({ rules, dataDir: dir })).rejects.toMatchObject({
      name: 'DataUnusableError',
      message: expect.stringContaining('identity.key')
    })
    expect(await readFile(join(dir, 'identity.key'), 'utf8')).toBe('garbage')
  })
})

describe('a wrong option', () => {
  const rules = testRules({ network: 'options' })
  const cases: [string, Parameters<typeof createNode>[0], string][] = [
    ['listen', { rules, listen: '5000' }, 'listen'],
    ['announce', { rules, announce: ['example.org'] }, 'announce[0]'],
    ['seeds', { rules, seeds: ['/ip4/127.0.0.1/tcp/5000'] }, 'seeds[0]'],
    ['produce on a light node', { rules, role: 'light', produce: { seal: () => undefined } }, 'produce'],
    ['txIndex on a light node', { rules, role: 'light', txIndex: true }, 'txIndex'],
    ['txIndex on a seed', { rules, role: 'seed', txIndex: true }, 'txIndex'],
    ['role', { rules, role: 'heavy' }, 'role'],
    ['produce on a seed', { rules, role: 'seed', produce: { seal: () => undefined } }, 'produce'],
    ['network', { rules: { ...rules, network: 'Not A Name' } }, 'network']
  ] as never
  for (const [name, init, option] of cases) {
    it(`is named at once: ${name}`, async () => {
      await expect(createNode(init)).rejects.toMatchObject({ name: 'ConfigError', option })
    })
  }
})

describe('a number of peers', () => {
  const rules = testRules({ network: 'room' })
  // libp2p tells it to its own services only
  const cap = ({ libp2p }: { libp2p: unknown }): number => {
    const { components } = libp2p as { components: { connectionManager: { getMaxConnections(): number } } }
    return components.connectionManager.getMaxConnections()
  }

  it('raises the number of connections at which libp2p turns everyone away', async () => {
    await using usual = await createNode({ rules })
    await using large = await createNode({ rules, peers: { maxInbound: 1_000, target: 20 } })
    await using own = await createNode({
      rules,
      peers: { maxInbound: 1_000 },
      libp2p: { connectionManager: { maxConnections: 50 } }
    })
    expect([usual, large, own].map(cap)).toEqual([300, 300 + 744 + 12, 50])
  })
})

describe('a port that is taken', () => {
  it('is said by name, and leaves nothing open', async () => {
    const rules = testRules({ network: 'port' })
    await using first = await createNode({ rules })
    const port = first.multiaddrs[0]!.split('/')[4]
    await expect(createNode({ rules, listen: `/ip4/127.0.0.1/tcp/${port}` })).rejects.toMatchObject({
      name: 'PortTakenError',
      message: `port ${port} on 127.0.0.1 is taken`
    })
  })
})
