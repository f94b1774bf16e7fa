import { ConfigError } from '../errors.js'
import { sha256 } from '../hash.js'
import { compareBytes, equalBytes, toHex } from '../hex.js'
import { encodeBlock, txId } from './block.js'
import { type Checkpoints, readCheckpoints } from './checkpoints.js'
import { varintLength, Writer } from './cursor.js'
import { keyOf } from './key.js'
import { merkleRoot } from './merkle.js'
import type { BaseHeader, Limits, Located, Rules, StateDb } from './rules.js'

/** Block 0 as the rules make it. */
export interface Genesis<Header> {
  at: Located<Header>
  /** Its header's bytes. */
  header: Uint8Array
  /** Its block's bytes. */
  block: Uint8Array
  /** What `state.genesis` wrote, sorted by key. */
  writes: Array<[key: Uint8Array, value: Uint8Array]>
}

/** The rules with every default filled in and every option checked. */
export interface Terms<Header extends BaseHeader, Tx> {
  rules: Rules<Header, Tx>
  network: string
  params: Record<string, string | number>
  limits: Required<Limits>
  lookback: number
  tie: 'first-seen' | 'lowest-hash'
  forks: number[]
  minimumWork: bigint
  checkpoints: Checkpoints
  genesis: Genesis<Header>
  /** `<network>-<first 8 hex of the genesis hash>`. */
  id: string
}

const MIB = 1_048_576
/** Total work fits 32 bytes: docs/wire.md 0.1. */
export const MAX_WORK = (1n << 256n) - 1n

/**
 * Checks the rules and fills in what they leave out.
 * @throws ConfigError naming the option, e.g. `limits.blockBytes`.
 */
export function settle<Header extends BaseHeader, Tx>(rules: Rules<Header, Tx>): Terms<Header, Tx> {
  if (typeof rules !== 'object' || rules == null) throw new ConfigError('rules', 'is missing')
  if (!/^[a-z0-9-]{1,32}$/.test(rules.network))
    throw new ConfigError('network', `${JSON.stringify(rules.network)} is not 1 to 32 of a-z, 0-9 and -`)
  for (const name of ['header', 'tx'] as const) {
    if (typeof rules[name]?.encode !== 'function' || typeof rules[name]?.decode !== 'function')
      throw new ConfigError(name, 'is not a codec with encode and decode')
  }
  const params = checkParams(rules.params ?? {})
  const limits = checkLimits(rules.limits ?? {})
  const lookback = integer('lookback', rules.lookback ?? 16, 1, 1_024)
  const tie = rules.tie ?? 'first-seen'
  if (tie !== 'first-seen' && tie !== 'lowest-hash')
    throw new ConfigError('tie', `${JSON.stringify(tie)} is neither "first-seen" nor "lowest-hash"`)
  const forks = checkForks(rules.forks ?? [])
  if (rules.state != null) {
    integer('state.version', rules.state.version ?? 1, 0, Number.MAX_SAFE_INTEGER)
    if (typeof rules.state.applyTx !== 'function') throw new ConfigError('state.applyTx', 'is not a function')
  }
  if (rules.checkTxs != null && rules.checkTx == null)
    throw new ConfigError('checkTxs', 'needs checkTx beside it', {
      fix: 'give the rules a checkTx that answers the same'
    })
  const genesis = makeGenesis(rules, params, limits)
  const minimumWork = checkMinimumWork(rules.minimumWork ?? 0n)
  const checkpoints = readCheckpoints(rules.checkpoints ?? {}, genesis.at.hash)
  const id = `${rules.network}-${toHex(genesis.at.hash.subarray(0, 4))}`
  return { rules, network: rules.network, params, limits, lookback, tie, forks, minimumWork, checkpoints, genesis, id }
}

/** Sorted `name=value` lines: what P of the genesis hash is the hash of. */
function paramLines(params: Record<string, string | number>): Uint8Array {
  const lines = Object.keys(params)
    .sort()
    .map(
      (name) => `${name}=${typeof params[name] === 'string' ? JSON.stringify(params[name]) : String(params[name])}\n`
    )
  return new TextEncoder().encode(lines.join(''))
}

function checkParams(params: Record<string, string | number>): Record<string, string | number> {
  const names = Object.keys(params)
  if (names.length > 16) throw new ConfigError('params', `has ${names.length} entries, over 16`)
  for (const name of names) {
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name))
      throw new ConfigError(`params[${JSON.stringify(name)}]`, 'a name is 1 to 64 of letters, digits, _ . and -')
    const value = params[name]
    if (typeof value !== 'string' && !(typeof value === 'number' && Number.isFinite(value)))
      throw new ConfigError(`params.${name}`, `${String(value)} is neither a string nor a finite number`)
  }
  const size = paramLines(params).length
  if (size > 1_024) throw new ConfigError('params', `take ${size} bytes, over 1,024`)
  return { ...params }
}

function checkLimits(limits: Limits): Required<Limits> {
  const blockBytes = integer('limits.blockBytes', limits.blockBytes ?? MIB, 128, 16 * MIB)
  return {
    blockBytes,
    txBytes: integer('limits.txBytes', limits.txBytes ?? Math.min(65_536, blockBytes), 1, blockBytes),
    headerBytes: integer(
      'limits.headerBytes',
      limits.headerBytes ?? Math.min(1_024, blockBytes),
      64,
      Math.min(65_536, blockBytes)
    ),
    futureMs: integer('limits.futureMs', limits.futureMs ?? 15_000, 0, 86_400_000)
  }
}

function checkForks(forks: number[]): number[] {
  forks.forEach((height, i) => {
    integer(`forks[${i}]`, height, 1, Number.MAX_SAFE_INTEGER)
    if (i > 0 && height <= forks[i - 1]!)
      throw new ConfigError(`forks[${i}]`, `${height} does not come after ${forks[i - 1]}: heights ascend`)
  })
  if (forks.length > 256) throw new ConfigError('forks', `has ${forks.length} heights, over 256`)
  return [...forks]
}

function checkMinimumWork(work: bigint): bigint {
  if (typeof work !== 'bigint' || work < 0n || work > MAX_WORK)
    throw new ConfigError('minimumWork', `${String(work)} is not a bigint from 0 to 2^256 - 1`)
  return work
}

/** @throws ConfigError unless `value` is an integer within bounds. */
export function integer(option: string, value: number, min: number, max: number): number {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw new ConfigError(option, `${String(value)} is not an integer from ${min} to ${max}`)
  return value
}

function makeGenesis<Header extends BaseHeader, Tx>(
  rules: Rules<Header, Tx>,
  params: Record<string, string | number>,
  limits: Required<Limits>
): Genesis<Header> {
  if (typeof rules.genesis?.header !== 'object') throw new ConfigError('genesis.header', 'is missing')
  const { time, height } = rules.genesis.header as Pick<BaseHeader, 'time' | 'height'>
  integer('genesis.header.time', time, 0, Number.MAX_SAFE_INTEGER)
  if (height !== undefined && height !== 0) throw new ConfigError('genesis.header.height', `${height} is not 0`)
  const txs = (rules.genesis.txs ?? []).map((tx, i) => encoded(`genesis.txs[${i}]`, rules.tx, tx, limits.txBytes))
  // `Omit` of a type parameter cannot be put together again without a cast
  const full = {
    ...rules.genesis.header,
    parent: new Uint8Array(32),
    root: merkleRoot(txs.map(txId))
  } as unknown as Header
  const bytes = encoded('genesis.header', rules.header, full, limits.headerBytes)
  const header = rules.header.decode(bytes)
  const block = encodeBlock(bytes, txs)
  if (block.length > limits.blockBytes)
    throw new ConfigError('genesis', `block of ${block.length} bytes, over limits.blockBytes ${limits.blockBytes}`)
  const work = rules.work?.(header) ?? 1n
  if (typeof work !== 'bigint' || work <= 0n || work > MAX_WORK)
    throw new ConfigError('work', `${String(work)} for the genesis header is not a bigint from 1 to 2^256 - 1`)
  const own = rules.hash?.(bytes)
  if (own !== undefined && !(own instanceof Uint8Array && own.length === 32))
    throw new ConfigError('hash', 'did not answer 32 bytes')
  const writes = genesisWrites(rules)
  const sum = new Uint8Array(bytes.length + 64)
  sum.set(bytes)
  sum.set(hashWrites(writes), bytes.length)
  sum.set(sha256(paramLines(params)), bytes.length + 32)
  return { at: { hash: sha256(sum), height: 0, work, header }, header: bytes, block, writes }
}

function encoded<V>(
  option: string,
  codec: Rules<BaseHeader, unknown>['tx'] | { encode(v: V): Uint8Array; decode(b: Uint8Array): V },
  value: V,
  max: number
): Uint8Array {
  let bytes: Uint8Array
  let again: Uint8Array
  try {
    bytes = codec.encode(value)
    again = codec.encode(codec.decode(bytes) as V)
  } catch (cause) {
    throw new ConfigError(option, `cannot be encoded: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause
    })
  }
  if (!equalBytes(bytes, again))
    throw new ConfigError(option, 'encodes to other bytes once it was decoded: the codec is not canonical')
  if (bytes.length > max) throw new ConfigError(option, `takes ${bytes.length} bytes, over the limit of ${max}`)
  return bytes
}

function genesisWrites<Header extends BaseHeader, Tx>(rules: Rules<Header, Tx>): Array<[Uint8Array, Uint8Array]> {
  const written = new Map<string, [Uint8Array, Uint8Array]>()
  const db: StateDb = {
    get: (key) => written.get(keyOf(key))?.[1],
    put: (key, value) => {
      if (!(key instanceof Uint8Array) || key.length < 1 || key.length > 256)
        throw new ConfigError('state.genesis', `a key of ${key?.length} bytes: keys are 1 to 256 bytes`)
      written.set(keyOf(key), [new Uint8Array(key), new Uint8Array(value)])
    },
    del: (key) => {
      written.delete(keyOf(key))
    }
  }
  const answer: unknown = rules.state?.genesis?.(db)
  if (answer instanceof Promise) {
    answer.catch(() => {})
    throw new ConfigError('state.genesis', 'answered a promise: it must not wait')
  }
  return [...written.values()].sort((a, b) => compareBytes(a[0], b[0]))
}

/** S of the genesis hash: each write as varint(length) key varint(length) value. */
function hashWrites(writes: Array<[Uint8Array, Uint8Array]>): Uint8Array {
  let size = 0
  for (const pair of writes) for (const part of pair) size += varintLength(part.length) + part.length
  const writer = new Writer(new Uint8Array(size))
  for (const pair of writes) {
    for (const part of pair) {
      writer.varint(part.length)
      writer.put(part)
    }
  }
  return sha256(writer.bytes)
}

/** The hash of block 0 under these rules, which names the chain: for what is signed over it before there is a `Chain`. */
export function genesisHash<Header extends BaseHeader, Tx>(rules: Rules<Header, Tx>): Uint8Array {
  return settle(rules).genesis.at.hash
}
