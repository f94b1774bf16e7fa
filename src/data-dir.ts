import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { ClassicLevel } from 'classic-level'
import { LevelDatastore } from 'datastore-level'
import type { Datastore, Key } from 'interface-datastore'
import type { Database, FreezerFiles } from './chain/index.js'
import { DataLockedError, DataUnusableError } from './errors.js'
import { openFreezerFiles } from './freezer-files.js'

/**
 * A node's directory: one LevelDB in `db` (chain, libp2p's datastore), the chain's old blocks in files in `blocks`, the identity in `identity.key` (mode 0600, created once),
 * and `holder.json`, which tells who has it open. LevelDB's own lock keeps a second process out.
 */
export interface DataDir {
  readonly db: Database
  readonly files: FreezerFiles
  readonly datastore: Datastore
  readonly privateKey: PrivateKey
  /** True when this call created the directory's content. */
  readonly created: boolean
  /** Closes database and files. May be called twice. */
  close(): Promise<void>
}

/**
 * Opens or creates a node's directory.
 *
 * @throws DataLockedError when another process has it open
 * @throws DataUnusableError when it cannot be created, read or written, or its identity does not decode
 */
export async function openDataDir(dir: string, given?: PrivateKey): Promise<DataDir> {
  await mkdir(dir, { recursive: true }).catch((err) => {
    throw new DataUnusableError(dir, reasonOf(err), err)
  })
  const holder = join(dir, 'holder.json')
  const db = new ClassicLevel<Uint8Array, Uint8Array>(join(dir, 'db'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false
  })
  try {
    await db.open()
  } catch (err) {
    const cause = (err as { cause?: { code?: string } }).cause
    if (cause?.code === 'LEVEL_LOCKED') throw new DataLockedError(dir, await holderOf(holder), err)
    throw new DataUnusableError(dir, reasonOf(cause ?? err), err)
  }
  let frozen: Awaited<ReturnType<typeof openFreezerFiles>> | undefined
  try {
    frozen = await openFreezerFiles(join(dir, 'blocks'))
    const { files, close } = frozen
    const found = await readIdentity(dir)
    const privateKey = given ?? found ?? (await createIdentity(dir))
    await writeFile(holder, JSON.stringify({ pid: process.pid, since: new Date().toISOString() }))
    const datastore = new PeersDatastore(
      db.sublevel<string, Uint8Array>('libp2p', { keyEncoding: 'utf8', valueEncoding: 'view' }) as never
    )
    return {
      db: db as Database,
      files,
      datastore,
      privateKey,
      created: found == null,
      async close() {
        if (db.status === 'closed') return
        await rm(holder, { force: true })
        await db.close()
        await close()
      }
    }
  } catch (err) {
    await db.close()
    await frozen?.close()
    throw err instanceof DataUnusableError ? err : new DataUnusableError(dir, reasonOf(err), err)
  }
}

/**
 * What libp2p remembers of its peers, which it can find out again: when it cannot be written, it is left out. libp2p writes for every
 * stream it opens, and a full disk would otherwise cut the node off from all its peers.
 */
class PeersDatastore extends LevelDatastore {
  override async put(key: Key, value: Uint8Array): Promise<Key> {
    await super.put(key, value).catch(() => {})
    return key
  }

  override async delete(key: Key): Promise<void> {
    await super.delete(key).catch(() => {})
  }
}

async function readIdentity(dir: string): Promise<PrivateKey | undefined> {
  const file = join(dir, 'identity.key')
  const bytes = await readFile(file).catch((err) => {
    if (err.code === 'ENOENT') return undefined
    throw new DataUnusableError(file, reasonOf(err), err)
  })
  if (bytes == null) return undefined
  try {
    return privateKeyFromProtobuf(bytes)
  } catch (err) {
    throw new DataUnusableError(file, 'it is not a private key; move it away and a new identity is created', err)
  }
}

/** Written aside, synced and renamed: a crash leaves either no identity or a whole one. */
async function createIdentity(dir: string): Promise<PrivateKey> {
  const key = await generateKeyPair('Ed25519')
  const aside = join(dir, `identity.key.${randomUUID()}`)
  const file = await open(aside, 'wx', 0o600)
  try {
    await file.writeFile(privateKeyToProtobuf(key))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(aside, join(dir, 'identity.key'))
  return key
}

async function holderOf(file: string): Promise<string | undefined> {
  try {
    const { pid, since } = JSON.parse(await readFile(file, 'utf8')) as { pid: number; since: string }
    const minutes = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 60_000))
    return Number.isInteger(pid) ? `process ${pid} (for ${minutes} min)` : undefined
  } catch {
    return undefined
  }
}

function reasonOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err)
}
