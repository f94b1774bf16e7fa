import { encodeHeight, headRecord, metaKey, readHeight } from './layout.js'

/** Keys of the records about the store itself; docs/store.md says what they hold. */
export const RECORD = {
  head: metaKey('head'),
  undo: metaKey('undo'),
  reorg: metaKey('reorg'),
  rebuild: metaKey('rebuild'),
  split: metaKey('split'),
  live: metaKey('live'),
  frozen: metaKey('frozen'),
  txIndex: metaKey('txindex')
}

/** A block by height and hash. */
export interface Place {
  height: number
  hash: Uint8Array
}

/** A move of the head in steps that is under way. */
export interface ReorgRecord {
  /** The last head that anybody was told of. */
  from: Place
  target: Place
  /** Undo is stored from this height up until it has arrived. */
  undoFrom: number
}

/** A branch that is followed although it forks off too deep. */
export interface SplitRecord {
  fork: Place
  /** The block that was named. */
  tip: Place
}

/** What the store says of the files: heights 1 to `top` are in them; up to `synced` they survive a power cut. */
export interface FrozenRecord {
  top: number
  synced: number
}

/** `emptying`: all of the state goes. `down`: blocks are taken back by their undo records. `up`: blocks are applied again. */
export type RebuildPhase = 'emptying' | 'down' | 'up'

/** A state that is being made anew. The index of heights names the blocks up to `goal`, also above the head. */
export interface RebuildRecord {
  phase: RebuildPhase
  /** Last block whose effects may stay. */
  cut: number
  goal: Place
  /** Headers and transactions are checked again from this height up; 0: not at all. */
  checkFrom: number
  /** For people. */
  why: string
}

const PHASES: RebuildPhase[] = ['emptying', 'down', 'up']
const PLACE_BYTES = 38

/** The value of `head`. */
export function decodePlace(record: Uint8Array | undefined, at = 0): Place | undefined {
  if (record == null || record.length < at + PLACE_BYTES) return undefined
  return { hash: new Uint8Array(record.subarray(at, at + 32)), height: readHeight(record, at + 32) }
}

export function encodeReorg({ from, target, undoFrom }: ReorgRecord): Uint8Array {
  return joined(headRecord(from.height, from.hash), headRecord(target.height, target.hash), encodeHeight(undoFrom))
}

/** Undefined for what `encodeReorg` would not have written. */
export function decodeReorg(record: Uint8Array | undefined): ReorgRecord | undefined {
  if (record?.length !== 2 * PLACE_BYTES + 6) return undefined
  const from = decodePlace(record)!
  return { from, target: decodePlace(record, PLACE_BYTES)!, undoFrom: readHeight(record, 2 * PLACE_BYTES) }
}

export function encodeSplit({ fork, tip }: SplitRecord): Uint8Array {
  return joined(headRecord(fork.height, fork.hash), headRecord(tip.height, tip.hash))
}

/** Undefined for what `encodeSplit` would not have written. */
export function decodeSplit(record: Uint8Array | undefined): SplitRecord | undefined {
  if (record?.length !== 2 * PLACE_BYTES) return undefined
  return { fork: decodePlace(record)!, tip: decodePlace(record, PLACE_BYTES)! }
}

export function encodeRebuild({ phase, cut, goal, checkFrom, why }: RebuildRecord): Uint8Array {
  const head = Uint8Array.of(PHASES.indexOf(phase))
  const heights = joined(encodeHeight(cut), encodeHeight(checkFrom))
  return joined(head, heights, headRecord(goal.height, goal.hash), new TextEncoder().encode(why))
}

/** Undefined for what `encodeRebuild` would not have written. */
export function decodeRebuild(record: Uint8Array | undefined): RebuildRecord | undefined {
  const phase = record?.length == null || record.length < 13 + PLACE_BYTES ? undefined : PHASES[record[0]!]
  if (record == null || phase == null) return undefined
  return {
    phase,
    cut: readHeight(record, 1),
    checkFrom: readHeight(record, 7),
    goal: decodePlace(record, 13)!,
    why: new TextDecoder().decode(record.subarray(13 + PLACE_BYTES))
  }
}

/** The value of `undo`: undo is stored from the higher of `lowest` and head − `maxReorg` + 1 up. */
export function encodeUndoRange(lowest: number, maxReorg: number): Uint8Array {
  return joined(encodeHeight(lowest), encodeHeight(maxReorg))
}

export function decodeUndoRange(record: Uint8Array | undefined): { lowest: number; maxReorg: number } | undefined {
  return record?.length === 12 ? { lowest: readHeight(record, 0), maxReorg: readHeight(record, 6) } : undefined
}

export function encodeFrozen({ top, synced }: FrozenRecord): Uint8Array {
  return joined(encodeHeight(top), encodeHeight(synced))
}

/** Undefined for what `encodeFrozen` would not have written. */
export function decodeFrozen(record: Uint8Array | undefined): FrozenRecord | undefined {
  return record?.length === 12 ? { top: readHeight(record, 0), synced: readHeight(record, 6) } : undefined
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
