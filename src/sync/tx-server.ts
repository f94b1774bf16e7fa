import { merkleProof, splitBlock, verifyMerkleProof } from '../chain/index.js'
import { MalformedError, NotFoundError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import { apart, sha256Many } from '../lanes.js'
import { type GetProof, type GetTxs, TxProof } from '../pb/sync.js'
import { decodeIndexes } from './indexes.js'
import type { SyncBlock, SyncChain } from './port.js'
import type { Answered, RecentBlock } from './server.js'
import { onWire } from './wire.js'

/** Transactions that are handed on at once. */
const PAGE = 256
/** What comes before a leaf when it is hashed: RFC 6962. */
const LEAF = 0

/** See `RequestContext`. */
type Spend = (bytes: number) => Promise<void>

const FREE: Spend = async () => {}

interface Opened {
  key: string
  bytes: number
  txs: Uint8Array[]
  leaves: Uint8Array[] | undefined
}

/** Answers for single transactions. The block that was asked for last stays open: whoever asks for one of it asks for another. */
export class TxServer {
  #last: Opened | undefined

  constructor(
    private readonly chain: SyncChain,
    private readonly recent: RecentBlock = () => undefined
  ) {}

  /** Transactions of a block, in the order asked. */
  async *txs({ block, indexes: encoded }: GetTxs): Answered {
    checkHash(block)
    const indexes = decodeIndexes(encoded)
    const opened = await this.#open(block)
    if (opened == null) throw new NotFoundError('the block is not here')
    const there = indexes.findIndex((index) => index >= opened.txs.length)
    if (there === 0) throw new NotFoundError('the block has no such transaction')
    const known = there === -1 ? indexes : indexes.slice(0, there)
    for (let from = 0; from < known.length; from += PAGE)
      yield known.slice(from, from + PAGE).map((index) => opened.txs[index]!)
    return there === -1 ? undefined : 'more'
  }

  /** A transaction and its audit path. Without a block: in the first that the index names. */
  async *proof({ block, tx }: GetProof, spend: Spend): Answered {
    checkHash(tx)
    if (block.length > 0) {
      checkHash(block)
      const at = this.chain.locate(block)
      const proof = at == null ? undefined : await this.prove(at, tx, spend)
      if (proof == null) throw new NotFoundError('no such transaction in that block here')
      yield [TxProof.encode(proof)]
      return undefined
    }
    for (const at of (await this.chain.findTx?.(tx)) ?? []) {
      const proof = await this.prove(at, tx, spend)
      if (proof == null) continue
      yield [TxProof.encode(proof)]
      return undefined
    }
    throw new NotFoundError('no such transaction is known here')
  }

  /** Undefined when the block is not here whole, or does not hold the transaction. */
  async prove({ hash, header }: SyncBlock, id: Uint8Array, spend: Spend = FREE): Promise<TxProof | undefined> {
    const opened = await this.#open(hash)
    if (opened == null) return undefined
    // the whole block is hashed for a small answer
    await spend(opened.bytes)
    opened.leaves ??= apart(sha256Many(opened.txs, LEAF))
    const { txs, leaves } = opened
    const index = leaves.findIndex((leaf) => equalBytes(leaf, id))
    if (index === -1) return undefined
    const path = merkleProof(leaves, index)
    const count = leaves.length
    // a body that is damaged on our disk must not cost us the trust of who asks
    if (!verifyMerkleProof({ leaf: leaves[index]!, index, size: count, path }, header.root)) return undefined
    const [block, tx] = onWire([hash, txs[index]!])
    return { block: block!, index, count, path: onWire(path), tx: tx! }
  }

  async #open(hash: Uint8Array): Promise<Opened | undefined> {
    const key = toHex(hash)
    const here = this.chain.has(hash)
    const recent = this.recent(hash)
    if (recent == null && here !== 'valid' && here !== 'body') return undefined
    if (this.#last?.key === key) return this.#last
    const block = recent ?? (await this.chain.block(hash))
    if (block == null) return undefined
    try {
      const { txs } = splitBlock(block, this.chain.limits)
      this.#last = { key, bytes: block.length, txs, leaves: undefined }
    } catch {
      return undefined
    }
    return this.#last
  }
}

function checkHash(hash: Uint8Array): void {
  if (hash.length !== 32) throw new MalformedError(`a hash of ${hash.length} bytes`)
}
