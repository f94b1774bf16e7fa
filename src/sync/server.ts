import { MalformedError, NotFoundError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { GetBlocks, GetHeaders, GetRange, SyncRequest } from '../pb/sync.js'
import type { RequestContext } from '../protocol/index.js'
import { MAX_HASHES, MAX_HEADERS, MAX_LOCATOR, MAX_RANGE } from './limit.js'
import type { SyncChain } from './port.js'
import type { TxServer } from './tx-server.js'

/** Blocks read at once when asked by hash, and their bytes. */
const READ_AHEAD = 16
const READ_BYTES = 1 << 20

/** A block that is not in the chain yet, but was passed on. */
export type RecentBlock = (hash: Uint8Array) => Uint8Array | undefined

export type Answered = AsyncGenerator<Uint8Array[], 'more' | undefined>

/**
 * Answers one request from the chain, in pages of bytes as they are stored. Returns `'more'` where the answer is cut; counting
 * items and bytes is the protocol's business.
 *
 * @throws MalformedError for a request outside the limits of docs/wire.md, NotFoundError
 */
export function answer(
  chain: SyncChain,
  lowest: number,
  hashOf: (header: Uint8Array) => Uint8Array,
  { headers, blocks, range, txs, proof }: SyncRequest,
  transactions: TxServer,
  spend: RequestContext['spend'],
  recent: RecentBlock
): Answered {
  if (headers != null) return answerHeaders(chain, hashOf, headers)
  if (txs != null) return transactions.txs(txs)
  if (proof != null) return transactions.proof(proof, spend)
  if (blocks != null) return answerBlocks(chain, blocks, recent)
  if (range != null) return answerRange(chain, lowest, range)
  throw new MalformedError('a request for nothing')
}

async function* answerHeaders(
  chain: SyncChain,
  hashOf: (header: Uint8Array) => Uint8Array,
  { locator, limit, stop }: GetHeaders
): Answered {
  if (locator.length > MAX_LOCATOR)
    throw new MalformedError(`a locator of ${locator.length} hashes, over ${MAX_LOCATOR}`)
  for (const hash of locator) checkHash(hash)
  if (limit < 1 || limit > MAX_HEADERS) throw new MalformedError(`a limit of ${limit} headers, not 1 to ${MAX_HEADERS}`)
  if (stop.length > 0) checkHash(stop)

  const known = locator.map((hash) => chain.locate(hash)).filter((block) => block != null)
  if (known.length === 0) throw new NotFoundError('no hash of the locator is known')
  // after genesis when none is on the head chain
  const common = known.find(({ hash, height }) => isMain(chain, hash, height))?.height ?? 0
  let end = chain.head.height
  if (stop.length > 0) {
    const last = chain.locate(stop)
    if (last == null || chain.has(stop) === 'invalid') throw new NotFoundError('the stop is not known')
    if (!isMain(chain, stop, last.height)) {
      return yield* answerBranch(chain, hashOf, locator, { limit, stop, height: last.height, common })
    }
    end = last.height
  }
  const to = Math.min(common + limit, end)
  return (yield* pages(chain, chain.headers(common + 1, to), common + 1, to)) ?? (to < end ? 'more' : undefined)
}

/** What leads to a side branch from `common`, and the branch itself, after the newest of its headers that the asker has. */
async function* answerBranch(
  chain: SyncChain,
  hashOf: (header: Uint8Array) => Uint8Array,
  locator: Uint8Array[],
  { limit, stop, height, common }: { limit: number; stop: Uint8Array; height: number; common: number }
): Answered {
  const branch = await chain.branch(stop)
  if (branch == null) throw new NotFoundError('the branch is not kept')
  const asked = new Set(locator.map((hash) => toHex(hash)))
  const from = branch.findLastIndex((header) => asked.has(toHex(hashOf(header)))) + 1
  const fork = height - branch.length
  const to = from > 0 ? common : Math.min(common + limit, fork)
  const cut = yield* pages(chain, chain.headers(common + 1, to), common + 1, to)
  const left = limit - Math.max(0, to - common)
  if (cut != null || left === 0) return 'more'
  yield branch.slice(from, from + left)
  return from + left < branch.length ? 'more' : undefined
}

async function* answerBlocks(chain: SyncChain, { hashes }: GetBlocks, recent: RecentBlock): Answered {
  if (hashes.length < 1 || hashes.length > MAX_HASHES) {
    throw new MalformedError(`${hashes.length} hashes, not 1 to ${MAX_HASHES}`)
  }
  for (const hash of hashes) checkHash(hash)
  // how large they are is known once they are read: as many as there would be of the largest so far
  let ahead = Math.max(1, Math.floor(READ_BYTES / chain.limits.blockBytes))
  let largest = 1
  for (let from = 0; from < hashes.length; ) {
    const read = await Promise.all(hashes.slice(from, from + ahead).map((hash) => recent(hash) ?? stored(chain, hash)))
    const until = read.indexOf(undefined)
    if (until === 0 && from === 0) throw new NotFoundError('the first block is not here')
    yield read.slice(0, until === -1 ? read.length : until) as Uint8Array[]
    if (until !== -1) return 'more'
    from += read.length
    for (const block of read) largest = Math.max(largest, block!.length)
    ahead = Math.max(1, Math.min(READ_AHEAD, Math.floor(READ_BYTES / largest)))
  }
  return undefined
}

async function* answerRange(chain: SyncChain, lowest: number, { from, to }: GetRange): Answered {
  if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from <= to && to - from < MAX_RANGE)) {
    throw new MalformedError(`heights ${from} to ${to}: at most ${MAX_RANGE}, ascending`)
  }
  if (chain.bodies === false || from < lowest || from > chain.head.height)
    throw new NotFoundError(`block ${from} is not on the head chain here`)
  const last = Math.min(to, chain.head.height)
  return (yield* pages(chain, chain.blocks(from, last), from, last)) ?? (last < to ? 'more' : undefined)
}

/** Pages of the head chain, as long as it is the same chain. */
async function* pages(chain: SyncChain, source: AsyncIterable<Uint8Array[]>, from: number, to: number): Answered {
  if (to < from) return undefined
  const last = chain.hashAt(to)
  for await (const page of source) {
    const now = chain.hashAt(to)
    if (last == null || now == null || !equalBytes(last, now)) return 'more'
    yield page
  }
  return undefined
}

async function stored(chain: SyncChain, hash: Uint8Array): Promise<Uint8Array | undefined> {
  const here = chain.has(hash)
  return here === 'valid' || here === 'body' ? chain.block(hash) : undefined
}

function isMain(chain: SyncChain, hash: Uint8Array, height: number): boolean {
  const main = chain.hashAt(height)
  return main != null && equalBytes(main, hash)
}

function checkHash(hash: Uint8Array): void {
  if (hash.length !== 32) throw new MalformedError(`a hash of ${hash.length} bytes`)
}
