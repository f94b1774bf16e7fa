import { join } from 'node:path'
import { createNode } from 'blockwire'
import { coin, draftHeader, ed25519, mineHeader } from 'blockwire/pow'
import { ClassicLevel } from 'classic-level'

/** Makes a directory of `blockwire node --block-time SECONDS` with a chain mined in the past, so that it stays easy. */
export async function buildHistory(dataDir: string, blocks: number, blockTime: number): Promise<void> {
  const rules = coin({ network: 'hello', blockTime })
  const node = await createNode({ rules, dataDir, libp2p: { start: false } })
  const { publicKey } = ed25519.generate()
  const start = Date.now() - blocks * blockTime
  try {
    for (let height = 1; height <= blocks; height++) {
      await node.chain.propose({
        prefix: () => [{ kind: 'reward', height, to: publicKey, name: 'builder', extraNonce: 0 }],
        seal: (draft) => ({ header: mineHeader(draftHeader(rules, draft, start + height * blockTime)) })
      })
    }
  } finally {
    await node.stop()
  }
}

/** Changes one byte of what a table of docs/store.md (`b`, `h`, `u`) has of the last block. Answers its height. */
export async function flipLast(dataDir: string, table: 'b' | 'h' | 'u'): Promise<number> {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(join(dataDir, 'db'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false
  })
  try {
    const first = table.charCodeAt(0)
    const range = { gte: Uint8Array.of(first), lt: Uint8Array.of(first + 1), reverse: true, limit: 1 }
    const [last] = await db.iterator(range).all()
    if (last == null) throw new Error(`nothing in table ${table}`)
    const [key, value] = last
    const damaged = Uint8Array.from(value)
    damaged[damaged.length >> 1]! ^= 0x10
    await db.put(key, damaged)
    // table, height of 6 bytes, hash
    return Buffer.from(key).readUIntBE(1, 6)
  } finally {
    await db.close()
  }
}
