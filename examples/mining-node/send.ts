/** A wallet: joins a node as a light node, sends a transfer, and follows it until it is mined. */
import { createNode, type Node } from 'blockwire'
import { toHex, txId } from 'blockwire/chain'
import { ConfigError, ProofUnavailableError, RefusedError, UnreachableError } from 'blockwire/errors'
import { type CoinHeader, type CoinTx, coin, type KeyPair, transfer } from 'blockwire/pow'
import { amountText } from './amount.js'
import { NETWORK } from './network.js'
import { askNode, type WalletAnswer, type WalletRequest } from './wallet.js'

export interface WalletInit {
  /** Multiaddr of the node to ask, ending in `/p2p/<peer ID>`. */
  node: string
  /** Milliseconds; the node's. @default the coin's own */
  blockTime?: number
  /** How long to try to reach the node. @default 15_000 */
  reachMs?: number
}

export interface Payment {
  key: KeyPair
  to: Uint8Array
  /** In the smallest unit. */
  amount: bigint
  fee: bigint
}

/** A transfer that the node has accepted. */
export interface Sent {
  id: Uint8Array
  seq: bigint
  bytes: Uint8Array
}

/** How often the node is asked for a transfer that waits, at least. Each new head asks, too. */
const ASK_MS = 2_000
/** So often the node may not know a transfer that it had accepted. */
const MAX_LOST = 3

export class Wallet implements AsyncDisposable {
  private constructor(
    private readonly node: Node<CoinHeader, CoinTx>,
    private readonly peer: string
  ) {}

  /**
   * Resolves when the node has shown that it follows the same chain.
   *
   * @throws UnreachableError, ConfigError where the node follows another chain, the reason of `signal`
   */
  static async open({ node: address, blockTime, reachMs = 15_000 }: WalletInit, signal: AbortSignal): Promise<Wallet> {
    const rules = coin({ network: NETWORK, ...(blockTime == null ? {} : { blockTime }) })
    const node = await createNode({ rules, role: 'light', listen: [], seeds: [address], libp2p: { start: false } })
    const peer = address.split('/').at(-1)!
    try {
      await reach(node, address, peer, AbortSignal.any([signal, AbortSignal.timeout(reachMs)]))
      return new Wallet(node, peer)
    } catch (err) {
      await node.stop()
      throw err
    }
  }

  /** At the node's head; `free` and `seq` count in what is pooled. @throws PeerError, the reason of `signal` */
  account(address: Uint8Array, signal: AbortSignal): Promise<Extract<WalletAnswer, { kind: 'account' }>> {
    return this.#ask({ kind: 'account', address }, signal)
  }

  /** Signs a transfer and hands it to the node. @throws RefusedError where it cannot be paid, or the node does not take it */
  async send({ key, to, amount, fee }: Payment, signal: AbortSignal): Promise<Sent> {
    const { free, balance, seq } = await this.account(key.publicKey, signal)
    if (free < amount + fee) {
      const waiting = free === balance ? '' : `, and ${amountText(balance - free)} of that is on its way out`
      throw new RefusedError(
        'state',
        `${toHex(key.publicKey)} has ${amountText(balance)}${waiting}: too little for ${amountText(amount)} and a fee of ${amountText(fee)}`
      )
    }
    const { chain } = this.node
    const bytes = chain.rules.tx.encode(transfer(chain.genesis.hash, { key, to, amount, fee, seq }))
    await this.#submit(bytes, signal)
    return { id: txId(bytes), seq, bytes }
  }

  /**
   * Resolves when it is `depth` blocks deep, in a block of the chain with the most work that is known here, which a Merkle proof has shown to hold it.
   *
   * @throws RefusedError where the node has lost it and does not take it again, PeerError, the reason of `signal`
   */
  async mined({ id, bytes }: Sent, depth: number, signal: AbortSignal): Promise<{ height: number; hash: Uint8Array }> {
    for (let lost = 0; ; ) {
      const { state, height, hash } = await this.#ask({ kind: 'status', id }, signal)
      if (state === 2 && this.node.chain.head.height >= height + depth - 1) {
        try {
          await this.node.light.get({ tx: id, block: hash }, { signal })
          return { height, hash }
        } catch (err) {
          // a reorganisation is under way
          if (!(err instanceof ProofUnavailableError)) throw err
        }
      }
      if (state === 0 && ++lost > MAX_LOST) {
        lost = 0
        await this.#submit(bytes, signal)
      }
      await this.#news(signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.stop()
  }

  async #submit(tx: Uint8Array, signal: AbortSignal): Promise<void> {
    const { reason, detail } = await this.#ask({ kind: 'submit', tx }, signal)
    if (reason === '' || reason === 'known') return
    throw new RefusedError(
      reason,
      `the node does not take the transfer: ${reason}${detail === '' ? '' : `, ${detail}`}`
    )
  }

  async #ask<K extends WalletRequest['kind']>(
    asked: Extract<WalletRequest, { kind: K }>,
    signal: AbortSignal
  ): Promise<Extract<WalletAnswer, { kind: K }>> {
    const connection = this.node.libp2p.getConnections().find(({ remotePeer }) => remotePeer.toString() === this.peer)
    if (connection == null) throw new UnreachableError(this.peer, 'the connection was lost')
    return askNode(connection, this.node.chain.id, asked, signal)
  }

  /** The next head, or a while. */
  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        this.node.chain.removeEventListener('head', done)
        signal.removeEventListener('abort', abort)
      }
      const done = (): void => {
        end()
        resolve()
      }
      const abort = (): void => {
        end()
        reject(signal.reason)
      }
      const timer = setTimeout(done, ASK_MS)
      this.node.chain.addEventListener('head', done)
      signal.addEventListener('abort', abort)
      if (signal.aborted) abort()
    })
  }
}

/** Starts the node, and resolves when the peer has said that it follows our chain. */
async function reach(
  node: Node<CoinHeader, CoinTx>,
  address: string,
  peer: string,
  signal: AbortSignal
): Promise<void> {
  let why = 'it does not answer'
  const joined = new Promise<void>((resolve, reject) => {
    node.peers.addEventListener('join', ({ detail }) => {
      if (detail.peer.toString() === peer) resolve()
    })
    node.peers.addEventListener('seed', ({ detail }) => {
      if (detail.state === 'failed') why = detail.error ?? why
    })
    node.status.addEventListener('refused', ({ detail: { field, ours, theirs } }) => {
      reject(
        new ConfigError('--node', `follows another chain: ${field} ${ours} here, ${theirs} there`, {
          fix: 'give the same --block-time as the node'
        })
      )
    })
    signal.addEventListener('abort', () => {
      const late = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError'
      reject(late ? new UnreachableError(address, why) : signal.reason)
    })
  })
  joined.catch(() => {})
  await node.libp2p.start()
  await joined
}
