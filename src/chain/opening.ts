import { DataForeignError, DataUnusableError, DataVersionError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import { backToGenesis, replay } from './rebuild.js'
import { type Holdings, MAX_HEIGHT, type OpenReport, readHoldings, repair, StateLost, whereIs } from './repair.js'
import type { BaseHeader } from './rules.js'
import {
  blockKey,
  bytesKey,
  decodeHeaderRecord,
  encodeHeaderRecord,
  encodeHeight,
  FORMAT,
  headRecord,
  heightKey,
  metaKey,
  readHeight,
  TABLE
} from './store.js'

const utf8 = new TextEncoder()
const NO_STATE = '-'
/** Keys asked for at once. */
const CHUNK = 1_000

/**
 * Opens the store: creates it, or checks whose it is, checks and mends the head chain, and fills the tree.
 * @throws DataForeignError, DataVersionError, DataUnusableError.
 */
export async function openStore<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<OpenReport> {
  const report: OpenReport = { height: 0, created: false, repaired: [] }
  const format = await readText(core, 'format')
  if (format == null) {
    await create(core)
    report.created = true
  } else await checkOwner(core, format)
  const head = await readHead(core, report)
  const before = report.repaired.length
  try {
    await load(core, head, report)
  } catch (err) {
    if (!(err instanceof StateLost)) throw err
    await backToGenesis(core)
    // what else was said was not written
    report.repaired.splice(before)
    report.repaired.push(`${err.message}: the state was made anew from the stored blocks`)
    await load(core, { height: 0, hash: core.terms.genesis.at.hash }, report)
    await replay(core)
  }
  await checkCheckpoints(core)
  report.height = core.tree.head.at.height
  return report
}

/** The head chain must be the one that the checkpoints name, also when they were added to the rules later. */
async function checkCheckpoints<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, terms, tree } = core
  for (const { height, hash } of terms.checkpoints.upTo(tree.head.at.height)) {
    const stored = tree.mainAt(height)?.at.hash ?? (await store.db.get(heightKey(TABLE.main, height)))
    if (stored == null || !equalBytes(stored, hash))
      throw new DataForeignError(
        whereIs(core),
        `block ${height}`,
        stored == null ? 'unreadable' : toHex(stored),
        `checkpoint ${toHex(hash)}`
      )
  }
}

/** Checks and mends the head chain, and fills the tree. */
async function load<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  head: { height: number; hash: Uint8Array },
  report: OpenReport
): Promise<void> {
  await readUndoFrom(core, head.height)
  const from = Math.max(0, head.height - core.tree.keep)
  const holdings = await readHoldings(core, from)
  const chain = await repair(core, holdings, head, from, report)
  core.tree.restore(chain)
  if (core.terms.rules.state != null) core.tree.floor = Math.min(core.undoFrom - 1, core.tree.head.at.height)
  await loadSide(core, holdings)
}

async function create<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, terms } = core
  for await (const page of store.range(TABLE.header, 0, MAX_HEIGHT)) {
    if (page.length > 0) throw new DataUnusableError(whereIs(core), 'it holds blocks but does not say in which format')
  }
  const { at, block, header, writes } = terms.genesis
  const writing = store.write()
  writing.put(metaKey('format'), utf8.encode(FORMAT))
  writing.put(metaKey('network'), utf8.encode(terms.network))
  writing.put(metaKey('genesis'), at.hash)
  writing.put(metaKey('state'), utf8.encode(stateVersion(core)))
  writing.put(metaKey('forks'), utf8.encode(terms.forks.join(',')))
  writing.put(metaKey('undo'), undoRecord(1, core.maxReorg))
  writing.put(metaKey('head'), headRecord(0, at.hash))
  writing.put(blockKey(TABLE.header, 0, at.hash), encodeHeaderRecord(at.work, header))
  writing.put(blockKey(TABLE.body, 0, at.hash), block)
  writing.put(bytesKey(TABLE.height, at.hash), encodeHeight(0))
  writing.put(heightKey(TABLE.main, 0), at.hash)
  for (const [key, value] of writes) writing.put(bytesKey(TABLE.state, key), value)
  try {
    await writing.commit(true)
  } catch (cause) {
    throw new DataUnusableError(whereIs(core), 'genesis could not be written', cause)
  }
}

async function checkOwner<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, format: string): Promise<void> {
  const { store, terms } = core
  const where = whereIs(core)
  if (format !== FORMAT) throw new DataVersionError(where, 'format', format, FORMAT)
  const network = (await readText(core, 'network')) ?? 'unreadable'
  if (network !== terms.network) throw new DataForeignError(where, 'network', network, terms.network)
  const genesis = await store.db.get(metaKey('genesis'))
  if (genesis == null || !equalBytes(genesis, terms.genesis.at.hash))
    throw new DataForeignError(
      where,
      'genesis',
      genesis == null ? 'unreadable' : toHex(genesis),
      toHex(terms.genesis.at.hash)
    )
  const version = (await readText(core, 'state')) ?? 'unreadable'
  if (version !== stateVersion(core)) throw new DataVersionError(where, 'state version', version, stateVersion(core))
}

/** Forks that the stored blocks have passed must be those of the rules; what lies above head may change. */
async function checkForks<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, height: number): Promise<void> {
  const stored = (await readText(core, 'forks')) ?? 'unreadable'
  const ours = core.terms.forks.join(',')
  if (stored === ours) return
  const passed = (list: string): string =>
    list
      .split(',')
      .filter((fork) => fork !== '' && !(Number(fork) > height))
      .join(',')
  if (passed(stored) !== passed(ours))
    throw new DataVersionError(whereIs(core), 'forks', stored === '' ? 'none' : stored, ours === '' ? 'none' : ours)
  await core.store.db.put(metaKey('forks'), utf8.encode(ours))
}

async function readHead<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  report: OpenReport
): Promise<{ height: number; hash: Uint8Array }> {
  const record = await core.store.db.get(metaKey('head'))
  let head: { hash: Uint8Array; height: number } | undefined =
    record?.length === 38 ? { hash: new Uint8Array(record.subarray(0, 32)), height: readHeight(record, 32) } : undefined
  if (head == null) {
    const range = { gte: heightKey(TABLE.main, 0), lte: heightKey(TABLE.main, MAX_HEIGHT), reverse: true, limit: 1 }
    for (const [key, hash] of await core.store.db.iterator(range).all())
      head = { hash: new Uint8Array(hash), height: readHeight(key, 1) }
    if (head == null)
      throw new DataUnusableError(whereIs(core), 'neither the head nor the index of heights can be read')
    report.repaired.push(`the record of the head was damaged: taken from the index of heights, block ${head.height}`)
    await core.store.db.put(metaKey('head'), headRecord(head.height, head.hash))
  }
  await checkForks(core, head.height)
  return head
}

/** Finds out from which height undo is stored; the store may have been written with another `maxReorg`. */
async function readUndoFrom<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, height: number): Promise<void> {
  const { store, maxReorg } = core
  const record = await store.db.get(metaKey('undo'))
  const lowest = record?.length === 12 ? readHeight(record, 0) : 1
  const then = record?.length === 12 ? readHeight(record, 6) : maxReorg
  const kept = Math.max(1, lowest, height - then + 1)
  core.undoFrom = Math.max(kept, height - maxReorg + 1)
  if (record?.length === 12 && then === maxReorg) return
  await store.db.put(metaKey('undo'), undoRecord(kept, maxReorg))
  await store.db.clear({ gte: heightKey(TABLE.undo, 0), lt: heightKey(TABLE.undo, core.undoFrom) })
}

function undoRecord(lowest: number, maxReorg: number): Uint8Array {
  const record = new Uint8Array(12)
  record.set(encodeHeight(lowest))
  record.set(encodeHeight(maxReorg), 6)
  return record
}

/** Fills in the headers off the head chain; what does not link or is damaged is deleted. */
async function loadSide<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, holdings: Holdings): Promise<void> {
  const { tree, store, inspector } = core
  const writing = store.write()
  const side: Entry<Header>[] = []
  for (const [key, { height, hash, record }] of holdings.headers) {
    if (tree.find(key) != null) continue
    const decoded = decodeHeaderRecord(record)
    const named = decoded == null ? undefined : inspector.header(decoded.header)
    const parent = named != null && 'hash' in named && named.key === key ? tree.get(named.header.parent) : undefined
    if (
      named == null ||
      !('hash' in named) ||
      parent == null ||
      parent.at.height + 1 !== height ||
      tree.full ||
      barred(core, height, hash)
    ) {
      for (const table of [TABLE.header, TABLE.body]) writing.del(blockKey(table, height, hash))
      writing.del(bytesKey(TABLE.height, hash))
      writing.del(bytesKey(TABLE.invalid, hash))
      continue
    }
    const work = parent.at.work + (core.terms.rules.work?.(named.header) ?? 1n)
    side.push(tree.insert({ hash, height, work, header: named.header }, parent))
  }
  for (let i = 0; i < side.length; i += CHUNK) {
    const some = side.slice(i, i + CHUNK)
    const reasons = await store.db.getMany(some.map(({ at }) => bytesKey(TABLE.invalid, at.hash)))
    const bodies = await store.db.hasMany(some.map(({ at }) => blockKey(TABLE.body, at.height, at.hash)))
    for (const [n, entry] of some.entries()) {
      if (reasons[n] != null) tree.invalidate(entry, new TextDecoder().decode(reasons[n]))
      else if (bodies[n]) tree.fill(entry)
    }
  }
  await core.commit(writing, 'what was left over', false)
}

/** Kept from before there was such a checkpoint. */
function barred<Header extends BaseHeader, Tx>(
  { terms, tree }: Core<Header, Tx>,
  height: number,
  hash: Uint8Array
): boolean {
  return terms.checkpoints.objection(height, hash) != null || height <= terms.checkpoints.passed(tree.head.at.height)
}

async function readText<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  name: string
): Promise<string | undefined> {
  const bytes = await core.store.db.get(metaKey(name))
  return bytes == null ? undefined : new TextDecoder().decode(bytes)
}

function stateVersion<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): string {
  return core.terms.rules.state == null ? NO_STATE : String(core.terms.rules.state.version ?? 1)
}
