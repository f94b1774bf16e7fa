import { DataUnusableError, DataVersionError } from '../errors.js'
import { compareBytes, equalBytes, toHex } from '../hex.js'
import type { Core } from './core.js'
import { blockKey, bytesKey, heightKey, MAX_HEIGHT, metaKey, readHeight, TABLE } from './layout.js'
import {
  decodeRebuild,
  decodeReorg,
  encodeRebuild,
  encodeReorg,
  type Place,
  RECORD,
  type RebuildRecord,
  type ReorgRecord
} from './record.js'
import { whereIs } from './repair.js'
import type { BaseHeader } from './rules.js'
import type { Writing } from './store.js'

const NO_STATE = '-'
const PAGE = 1_000
const utf8 = new TextEncoder()

/** What the store's records say of the rules that it was written under. */
interface Written {
  version: string
  forks: string
}

/** The same of the rules that we have. */
export function writtenBy<Header extends BaseHeader, Tx>({ terms, stateful }: Core<Header, Tx>): Written {
  return { version: stateful ? String(terms.rules.state?.version ?? 1) : NO_STATE, forks: terms.forks.join(',') }
}

/**
 * Finds out whether the state has to be made anew: because that was begun and did not come to its end, or because the rules are other
 * ones. Then the record of it is in the store, together with what the rules are now.
 * @throws DataVersionError for older rules, and where a block that is needed is missing; nothing was changed.
 */
export async function renewal<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  head: Place
): Promise<RebuildRecord | undefined> {
  const { db } = core.store
  const stored: Written = { version: await readText(core, 'state'), forks: await readText(core, 'forks') }
  const ours = writtenBy(core)
  const bytes = await db.get(RECORD.rebuild)
  const begun = decodeRebuild(bytes)
  const goal = begun?.goal ?? (bytes == null ? head : await topOf(core))
  const newVersion = stored.version !== ours.version
  if (newVersion && !(Number(ours.version) > (stored.version === NO_STATE ? -1 : Number(stored.version))))
    throw new DataVersionError(whereIs(core), 'state version', stored.version, ours.version)
  const fork = firstNewFork(core, stored.forks, ours.forks, goal.height)
  if (!newVersion && fork == null) {
    if (stored.forks !== ours.forks) await db.put(metaKey('forks'), utf8.encode(ours.forks))
    if (bytes == null || begun != null) return begun
  }
  // headers alone cannot be checked again from there: that would be another sync
  if (fork != null && !core.bodies)
    throw new DataVersionError(whereIs(core), 'forks', stored.forks || 'none', ours.forks)
  if (begun == null) await needBodies(core, newVersion || fork == null ? 1 : fork, goal, newVersion, stored)
  const why = [
    ...(newVersion ? [`state version ${stored.version} there, ${ours.version} here`] : []),
    ...(fork == null ? [] : [`the fork at ${fork} is new`])
  ]
  const partly = !newVersion && bytes == null && fork != null && fork >= core.undoFrom
  const checkFrom = Math.min(fork ?? Number.POSITIVE_INFINITY, begun?.checkFrom || Number.POSITIVE_INFINITY)
  if (fork != null) await forgetSide(core, fork)
  const cut = partly ? fork - 1 : 0
  await pardon(core, cut + 1)
  return begin(core, {
    phase: partly ? 'down' : 'emptying',
    cut,
    goal,
    checkFrom: Number.isFinite(checkFrom) ? checkFrom : 0,
    why: why.join(', ') || 'the record of how far the state was made anew is damaged'
  })
}

/** Writes the record of it, and what the rules are now. `onTheWay`: of a reorganisation that needs it. */
export async function begin<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  record: RebuildRecord,
  onTheWay?: ReorgRecord
): Promise<RebuildRecord> {
  const writing = core.store.write()
  const ours = writtenBy(core)
  writing.put(RECORD.rebuild, encodeRebuild(record))
  writing.put(metaKey('state'), utf8.encode(ours.version))
  writing.put(metaKey('forks'), utf8.encode(ours.forks))
  const moving = onTheWay ?? decodeReorg(await core.store.db.get(RECORD.reorg))
  const undoFrom = Math.max(moving?.undoFrom ?? 1, record.goal.height - core.maxReorg + 1)
  if (moving != null) writing.put(RECORD.reorg, encodeReorg({ ...moving, undoFrom }))
  const { freezer } = core.store
  if (freezer != null && freezer.lost > 0) writing.cutFiles(freezer.top)
  try {
    await writing.commit(true)
  } catch (cause) {
    throw new DataUnusableError(whereIs(core), 'the state could not be made anew', cause)
  }
  return record
}

/** What other rules found invalid from a height up is to be judged again. */
async function pardon<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, from: number): Promise<void> {
  const { db } = core.store
  const writing = core.store.write()
  for await (const key of keysFrom(core, Uint8Array.of(TABLE.invalid), Uint8Array.of(TABLE.invalid + 1))) {
    const height = await db.get(bytesKey(TABLE.height, key.subarray(1)))
    if (height?.length !== 6 || readHeight(height, 0) >= from) writing.del(new Uint8Array(key))
  }
  await writing.commit()
}

/** Deletes what is stored of blocks from a height up that are not on the head chain: it was checked by other rules. */
async function forgetSide<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, from: number): Promise<void> {
  const main = new Map<number, string>()
  for await (const page of core.store.range(TABLE.main, from, MAX_HEIGHT))
    for (const [key, hash] of page) main.set(readHeight(key, 1), toHex(hash))
  await forget(core, from, (height, hash) => main.get(height) === toHex(hash))
}

/** Deletes headers and bodies from a height up, in bounded batches. */
export async function forget<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: number,
  keep: (height: number, hash: Uint8Array) => boolean = () => false
): Promise<void> {
  let writing: Writing = core.store.write()
  for await (const key of keysFrom(core, heightKey(TABLE.header, from), Uint8Array.of(TABLE.header + 1))) {
    const [height, hash] = [readHeight(key, 1), new Uint8Array(key.subarray(7))]
    if (keep(height, hash)) continue
    for (const table of [TABLE.header, TABLE.body]) writing.del(blockKey(table, height, hash))
    for (const table of [TABLE.height, TABLE.invalid]) writing.del(bytesKey(table, hash))
    if (writing.size < PAGE) continue
    await writing.commit()
    writing = core.store.write()
  }
  await writing.commit()
}

/** Forks that were passed without knowing of them: the lowest. One that was known and passed must not be missing now. */
function firstNewFork<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  stored: string,
  ours: string,
  height: number
): number | undefined {
  const passed = (list: string): number[] =>
    list
      .split(',')
      .filter((fork) => fork !== '')
      .map(Number)
      .filter((fork) => !(fork > height))
  const [then, now] = [passed(stored), passed(ours)]
  if (then.some((fork) => !now.includes(fork)))
    throw new DataVersionError(whereIs(core), 'forks', stored === '' ? 'none' : stored, ours === '' ? 'none' : ours)
  return now.find((fork) => !then.includes(fork))
}

/** Every block that is to be applied again must be here, before anything is changed. */
async function needBodies<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: number,
  goal: Place,
  newVersion: boolean,
  stored: Written
): Promise<void> {
  // what is in the files has its body with it
  const first = Math.max(from, (core.store.freezer?.top ?? 0) + 1)
  const bodies = keysFrom(core, heightKey(TABLE.body, first), heightKey(TABLE.body, goal.height + 1))
  let expected = first
  let body = await bodies.next()
  try {
    for await (const page of core.store.range(TABLE.main, first, goal.height)) {
      for (const [key, hash] of page) {
        const wanted = blockKey(TABLE.body, readHeight(key, 1), hash)
        while (!body.done && compareBytes(body.value, wanted) < 0) body = await bodies.next()
        if (body.done || !equalBytes(body.value, wanted) || readHeight(key, 1) !== expected) throw missing(expected)
        expected++
      }
    }
    if (expected <= goal.height) throw missing(expected)
  } finally {
    await bodies.return(undefined)
  }

  function missing(height: number): DataVersionError {
    const ours = writtenBy(core)
    const why = `the state cannot be made anew, because block ${height} is not in it`
    return newVersion
      ? new DataVersionError(whereIs(core), 'state version', stored.version, ours.version, why)
      : new DataVersionError(whereIs(core), 'forks', stored.forks || 'none', ours.forks, why)
  }
}

async function topOf<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<Place> {
  return (await core.store.mainTop()) ?? { height: 0, hash: core.terms.genesis.at.hash }
}

/** Keys of a range, ascending. */
export async function* keysFrom<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  gte: Uint8Array,
  lt: Uint8Array
): AsyncGenerator<Uint8Array, void, undefined> {
  const keys = core.store.db.keys({ gte, lt })
  try {
    for (let page = await keys.nextv(PAGE); page.length > 0; page = await keys.nextv(PAGE)) {
      for (const key of page) yield key as Uint8Array
    }
  } finally {
    await keys.close()
  }
}

/** A record as text. */
export async function readText<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, name: string): Promise<string> {
  const bytes = await core.store.db.get(metaKey(name))
  return bytes == null ? 'unreadable' : new TextDecoder().decode(bytes)
}
