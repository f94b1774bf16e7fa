import { DataForeignError, DataRoleError, DataUnusableError, DataVersionError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import {
  blockKey,
  bytesKey,
  decodeHeaderRecord,
  encodeHeaderRecord,
  encodeHeight,
  FORMAT,
  FORMAT_FILES,
  HEADERS_ONLY,
  headRecord,
  heightKey,
  MAX_HEIGHT,
  metaKey,
  TABLE
} from './layout.js'
import { rebuild } from './rebuild.js'
import {
  decodePlace,
  decodeRebuild,
  decodeReorg,
  decodeSplit,
  decodeUndoRange,
  encodeRebuild,
  encodeUndoRange,
  type Place,
  RECORD,
  type ReorgRecord
} from './record.js'
import { begin, readText, renewal, writtenBy } from './renewal.js'
import { type Holdings, type OpenReport, readHoldings, repair, StateLost, whereIs } from './repair.js'
import type { BaseHeader } from './rules.js'
import { settleIndex } from './tx-index.js'

const utf8 = new TextEncoder()
/** Keys asked for at once. */
const CHUNK = 1_000

/** What comes of opening. */
export interface Opened<Header> {
  report: OpenReport
  /** Where a reorganisation in steps was going when it was interrupted. */
  target: Entry<Header> | undefined
}

/**
 * Opens the store: creates it, or checks whose it is, checks and mends the head chain, and fills the tree.
 * @throws DataForeignError, DataRoleError, DataVersionError, DataUnusableError.
 */
export async function openStore<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<Opened<Header>> {
  const report: OpenReport = { height: 0, created: false, repaired: [] }
  if ((await core.store.db.get(metaKey('format'))) == null) {
    await create(core)
    report.created = true
  } else await checkOwner(core)
  let head = await readHead(core, report)
  await readUndoFrom(core, head.height)
  let record = await renewal(core, head)
  // undo cannot be found for blocks whose hashes are gone
  const lost = (core.store.freezer?.lost ?? 0) > 0
  if (lost && !core.stateful) await writeLost(core, head)
  else if (lost)
    record = await begin(core, {
      goal: head,
      checkFrom: 0,
      why: 'blocks were lost',
      ...record,
      phase: 'emptying',
      cut: 0
    })
  const before = report.repaired.length
  for (;;) {
    if (record != null) {
      report.repaired.push(await rebuild(core, record, head))
      head = core.tree.head.at
    }
    try {
      const target = await load(core, head, report)
      await checkCheckpoints(core)
      await settleIndex(core)
      report.height = core.durable = core.tree.head.at.height
      return { report, target }
    } catch (err) {
      if (!(err instanceof StateLost)) throw err
      if (record?.phase === 'emptying') throw new DataUnusableError(whereIs(core), err.message, err)
      // what else was said was not written
      report.repaired.splice(before)
      record = await begin(core, { phase: 'emptying', cut: 0, goal: head, checkFrom: 0, why: err.message })
    }
  }
}

/** Has the store know of the files what is there: what comes from now on may lie in the tables. */
async function writeLost<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, head: Place): Promise<void> {
  const writing = core.store.write()
  writing.cutFiles(core.store.freezer!.top)
  writing.put(RECORD.head, headRecord(head.height, head.hash))
  try {
    await writing.commit(true)
  } catch (cause) {
    throw new DataUnusableError(whereIs(core), 'a repair could not be written', cause)
  }
}

/** The head chain must be the one that the checkpoints name, also when they were added to the rules later. */
async function checkCheckpoints<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, terms, tree } = core
  for (const { height, hash } of terms.checkpoints.upTo(tree.head.at.height)) {
    const stored = tree.mainAt(height)?.at.hash ?? (await store.mainHash(height))
    if (stored == null || !equalBytes(stored, hash))
      throw new DataForeignError(
        whereIs(core),
        `block ${height}`,
        stored == null ? 'unreadable' : toHex(stored),
        `checkpoint ${toHex(hash)}`
      )
  }
}

/**
 * Makes the state anew as the record in the store says, and fills the tree again. Where that throws, the next call goes on; until then
 * `core.remaking` is set. Answers where a reorganisation in steps is going.
 */
export async function remake<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>
): Promise<Entry<Header> | undefined> {
  core.remaking = true
  const { db } = core.store
  // the tree is filled from the store
  if (core.pending > 0 && !(await core.commit(core.store.write(), 'headers', false)))
    throw new DataUnusableError(whereIs(core), 'the state could not be made anew')
  const record = decodeRebuild(await db.get(RECORD.rebuild))
  let head = decodePlace(await db.get(RECORD.head)) ?? core.tree.head.at
  await readUndoFrom(core, head.height)
  if (record != null) {
    await rebuild(core, record, head)
    head = core.tree.head.at
  }
  const target = await load(core, head, { height: 0, created: false, repaired: [] })
  await settleIndex(core)
  core.remaking = false
  return target
}

/** Checks and mends the head chain, and fills the tree. Answers where a reorganisation in steps is going. */
async function load<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  head: { height: number; hash: Uint8Array },
  report: OpenReport
): Promise<Entry<Header> | undefined> {
  const moving = decodeReorg(await core.store.db.get(RECORD.reorg))
  if (moving == null) await readUndoFrom(core, head.height)
  else core.undoFrom = moving.undoFrom
  const split = decodeSplit(await core.store.db.get(RECORD.split))
  const lowest = Math.min(head.height, moving?.from.height ?? head.height) - core.tree.keep
  const { freezer } = core.store
  // what a power cut may have damaged is looked through
  const doubtful = freezer?.dirty ? freezer.synced : lowest
  const from = Math.max(0, Math.min(lowest, doubtful, split == null ? lowest : split.fork.height - core.margin))
  const holdings = await readHoldings(core, from)
  const chain = await repair(core, holdings, head, from, report)
  core.tree.restore(chain)
  const fork = split && core.tree.mainAt(split.fork.height)
  const accepted = fork != null && equalBytes(fork.at.hash, split!.fork.hash)
  core.tree.accepted = accepted ? split!.fork.height : undefined
  core.accepted = accepted ? split!.tip.hash : undefined
  if (split != null && !accepted) await core.store.db.del(RECORD.split)
  core.live = (await core.store.db.get(RECORD.live)) != null
  if (core.stateful) core.tree.floor = Math.min(core.undoFrom - 1, core.tree.head.at.height)
  return loadSide(core, holdings, moving)
}

async function create<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, terms } = core
  for await (const page of store.range(TABLE.header, 0, MAX_HEIGHT)) {
    if (page.length > 0) throw new DataUnusableError(whereIs(core), 'it holds blocks but does not say in which format')
  }
  const { at, block, header, writes } = terms.genesis
  const { version, forks } = writtenBy(core)
  const writing = store.write()
  writing.put(metaKey('format'), utf8.encode(formatOf(core)))
  writing.put(metaKey('network'), utf8.encode(terms.network))
  writing.put(metaKey('genesis'), at.hash)
  writing.put(metaKey('state'), utf8.encode(version))
  writing.put(metaKey('forks'), utf8.encode(forks))
  if (core.bodies) writing.put(RECORD.undo, encodeUndoRange(1, core.maxReorg))
  writing.put(RECORD.head, headRecord(0, at.hash))
  writing.put(blockKey(TABLE.header, 0, at.hash), encodeHeaderRecord(at.work, header))
  if (core.bodies) writing.put(blockKey(TABLE.body, 0, at.hash), block)
  writing.put(bytesKey(TABLE.height, at.hash), encodeHeight(0))
  writing.put(heightKey(TABLE.main, 0), at.hash)
  if (core.bodies) for (const [key, value] of writes) writing.put(bytesKey(TABLE.state, key), value)
  try {
    await writing.commit(true)
  } catch (cause) {
    throw new DataUnusableError(whereIs(core), 'genesis could not be written', cause)
  }
}

async function checkOwner<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, terms } = core
  const where = whereIs(core)
  const format = await readText(core, 'format')
  const [, version, headers] = /^([12])(-headers)?$/.exec(format) ?? []
  if (version == null) throw new DataVersionError(where, 'format', format, formatOf(core))
  if ((headers == null) !== core.bodies) throw new DataRoleError(where, headers != null)
  if (version === FORMAT_FILES && store.freezer == null)
    throw new DataUnusableError(
      where,
      'its old blocks lie in files, and none were given',
      undefined,
      'give `files`, too'
    )
  const network = await readText(core, 'network')
  if (network !== terms.network) throw new DataForeignError(where, 'network', network, terms.network)
  const genesis = await store.db.get(metaKey('genesis'))
  if (genesis == null || !equalBytes(genesis, terms.genesis.at.hash))
    throw new DataForeignError(
      where,
      'genesis',
      genesis == null ? 'unreadable' : toHex(genesis),
      toHex(terms.genesis.at.hash)
    )
  checkFiles(core)
  // from now on there may be blocks where older programs do not look
  if (format !== formatOf(core)) await store.db.put(metaKey('format'), utf8.encode(formatOf(core)))
}

/** Files from beside another database would be taken for this chain's: what lies deep is not looked at again. */
function checkFiles<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): void {
  const { store, terms, inspector } = core
  const hash = store.freezer?.hashAt(1)
  const record = hash && store.headerAt(1, hash)
  const named = record && inspector.header(record.header)
  // damaged: that is for the repair
  if (named == null || !('hash' in named) || !equalBytes(named.hash, hash!)) return
  const { parent } = named.header
  if (!equalBytes(parent, terms.genesis.at.hash))
    throw new DataForeignError(whereIs(core), 'genesis of its files', toHex(parent), toHex(terms.genesis.at.hash))
}

async function readHead<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  report: OpenReport
): Promise<{ height: number; hash: Uint8Array }> {
  const record = await core.store.db.get(RECORD.head)
  let head = decodePlace(record)
  const { freezer } = core.store
  if (freezer != null && freezer.lost > 0) {
    const { top, lost } = freezer
    const hash = freezer.hashAt(top) ?? core.terms.genesis.at.hash
    report.repaired.push(`the files lack ${lost} blocks above ${top}; what is missing is fetched again`)
    if (head == null || head.height > top) head = { height: top, hash: new Uint8Array(hash) }
  }
  if (head == null) {
    head = await core.store.mainTop()
    if (head == null)
      throw new DataUnusableError(whereIs(core), 'neither the head nor the index of heights can be read')
    report.repaired.push(`the record of the head was damaged: taken from the index of heights, block ${head.height}`)
    // where the state was being made anew it is not known up to where it is
    const begun = decodeRebuild(await core.store.db.get(RECORD.rebuild))
    if (begun != null) await core.store.db.put(RECORD.rebuild, encodeRebuild({ ...begun, phase: 'emptying', cut: 0 }))
    await core.store.db.put(RECORD.head, headRecord(head.height, head.hash))
  }
  return head
}

/** Finds out from which height undo is stored; the store may have been written with another `maxReorg`. */
async function readUndoFrom<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, height: number): Promise<void> {
  const { store, maxReorg } = core
  if (!core.bodies) return
  const range = decodeUndoRange(await store.db.get(RECORD.undo))
  const { lowest, maxReorg: then } = range ?? { lowest: 1, maxReorg }
  const kept = Math.max(1, lowest, height - then + 1)
  core.undoFrom = Math.max(kept, height - maxReorg + 1)
  if (range?.maxReorg === maxReorg) return
  await store.db.put(RECORD.undo, encodeUndoRange(kept, maxReorg))
  await store.db.clear({ gte: heightKey(TABLE.undo, 0), lt: heightKey(TABLE.undo, core.undoFrom) })
}

/**
 * Fills in the headers off the head chain; what does not link or is damaged is deleted. `moving`: the head is between two branches.
 * Answers the block that it was going to, where that is still possible.
 */
async function loadSide<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  holdings: Holdings,
  moving: ReorgRecord | undefined
): Promise<Entry<Header> | undefined> {
  const { tree, store, inspector } = core
  const writing = store.write()
  const side: Entry<Header>[] = []
  for (const { height, hash, record } of holdings.headers.values()) {
    if (tree.get(hash) != null) continue
    const decoded = decodeHeaderRecord(record)
    const named = decoded == null ? undefined : inspector.header(decoded.header)
    const parent =
      named != null && 'hash' in named && equalBytes(named.hash, hash) ? tree.get(named.header.parent) : undefined
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
  const leaving = moving && tree.get(moving.from.hash)
  if (leaving !== tree.head) tree.leaving = leaving
  for (let i = 0; i < side.length; i += CHUNK) {
    const some = side.slice(i, i + CHUNK)
    const reasons = await store.db.getMany(some.map(({ at }) => bytesKey(TABLE.invalid, at.hash)))
    const bodies = await store.db.hasMany(some.map(({ at }) => blockKey(TABLE.body, at.height, at.hash)))
    for (const [n, entry] of some.entries()) {
      if (reasons[n] != null) tree.invalidate(entry, new TextDecoder().decode(reasons[n]))
      else if (bodies[n]) tree.fill(entry)
    }
  }
  // its own branch was damaged, and is not to be gone back to
  if (moving != null && tree.leaving == null) writing.del(RECORD.reorg)
  await core.commit(writing, 'what was left over', false)
  const target = tree.leaving && tree.get(moving!.target.hash)
  return target?.complete && !target.main && target.invalid == null ? target : undefined
}

/** Kept from before there was such a checkpoint. */
function barred<Header extends BaseHeader, Tx>(
  { terms, tree }: Core<Header, Tx>,
  height: number,
  hash: Uint8Array
): boolean {
  return terms.checkpoints.objection(height, hash) != null || height <= terms.checkpoints.passed(tree.head.at.height)
}

/** A store of headers is no store of blocks, nor the other way round. */
function formatOf<Header extends BaseHeader, Tx>({ bodies, store }: Core<Header, Tx>): string {
  return (store.freezer == null ? FORMAT : FORMAT_FILES) + (bodies ? '' : HEADERS_ONLY)
}
