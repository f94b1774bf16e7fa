import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode } from 'blockwire'
import { buildBlock, testRules, until } from 'blockwire/testing'
import { ClassicLevel } from 'classic-level'
import { afterEach, describe, expect, it, vi } from 'vitest'

afterEach(() => {
  vi.restoreAllMocks()
})

/** The methods that write, which its type leaves out. */
type Writes = Record<'_put' | '_del' | '_batch', () => Promise<void>> & { _chainedBatch(): object }

describe('a full disk', () => {
  it('stops the chain, which says so, but not the network', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'blockwire-disk-'))
    const rules = testRules({ network: 'disk' })
    await using other = await createNode({ rules })
    await using node = await createNode({ rules, dataDir: dir, seeds: other.multiaddrs })
    const errors: string[] = []
    node.chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
    await until('the peer', () => node.status.peers.size === 1)
    for (const name of ['_put', '_del', '_batch'] as const) {
      vi.spyOn(ClassicLevel.prototype as unknown as Writes, name).mockRejectedValue(new Error('no space left'))
    }
    vi.spyOn(ClassicLevel.prototype as unknown as Writes, '_chainedBatch').mockImplementation(() => {
      throw new Error('no space left')
    })
    const { bytes } = buildBlock(rules, node.chain.head)
    expect(await node.chain.add(bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    expect(errors).toEqual(['StoreWriteError'])
    // libp2p writes for every stream that it opens
    const [connection] = node.libp2p.getConnections(other.peerId)
    const stream = await connection!.newStream('/ipfs/ping/1.0.0')
    stream.abort(new Error('enough seen'))
    vi.restoreAllMocks()
    expect(await node.chain.add(bytes)).toMatchObject({ result: 'accept' })
    await node.stop()
    await rm(dir, { recursive: true })
  })
})
