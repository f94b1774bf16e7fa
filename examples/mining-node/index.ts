/**
 * A whole node of a proof-of-work chain: keeps the chain, serves it, mines on it, and reports what happens as events.
 * `blockwire node` is a shell around this file.
 */
import type { PrivateKey } from '@libp2p/interface'
import { createNode, type Node } from 'blockwire'
import { type CoinHeader, type CoinTx, coin, type Miner, miner } from 'blockwire/pow'
import { dialable } from './address.js'
import { BalanceWatch } from './balance.js'
import type { NodeEvent, Report } from './event.js'
import { loadOrCreateKey, nameOf } from './key.js'
import { NETWORK } from './network.js'
import { walletService } from './wallet.js'
import { reportChain, reportPeers, reportSync } from './watch.js'
import { type Win, WinsWatch } from './wins.js'

export interface MiningNodeInit {
  /** Multiaddrs to listen on. */
  listen: string[]
  announce?: string[]
  seeds?: string[]
  /** @default all in memory */
  dataDir?: string
  /** Only `full` mines. @default 'full' */
  role?: 'full' | 'light' | 'seed'
  /** Connections that others may open to us. @default 32, for a seed 256 */
  maxInbound?: number
  /** @default false */
  mine?: boolean
  /** Threads that mine. @default the miner's own */
  threads?: number
  /** Stands in the blocks that this node wins. @default made from the key that the rewards go to */
  name?: string
  /** Milliseconds; all nodes of a chain have the same. @default the coin's own */
  blockTime?: number
  privateKey?: PrivateKey
}

export interface MiningNode {
  readonly node: Node<CoinHeader, CoinTx>
  readonly name: string
  /** Where the rewards go, hex; undefined in a node that keeps no state. */
  readonly address: string | undefined
  /** What that address owns at head, in the smallest unit; undefined until it was read. */
  readonly balance: bigint | undefined
  /** Hashes a second over the last seconds; 0 while not mining. */
  readonly hashrate: number
  readonly mining: boolean
  /** Who won how many of the last blocks, most first. One call at a time. */
  wins(): Promise<Win[]>
  /** Mines or does not; the node stays connected. */
  mine(wanted: boolean): void
  stop(): Promise<void>
}

export { NETWORK } from './network.js'

/** Starts the node; `report` gets its events from the first one on. */
export async function startMiningNode(init: MiningNodeInit, report: Report): Promise<MiningNode> {
  const { mine = false, role = 'full', threads, blockTime, dataDir, announce, seeds, maxInbound, privateKey } = init
  const rules = coin({ network: NETWORK, ...(blockTime == null ? {} : { blockTime }) })
  // who wins nothing needs no key for rewards
  const key = loadOrCreateKey(role === 'full' ? dataDir : undefined)
  const name = init.name ?? nameOf(key)
  const digger =
    role !== 'full' ? undefined : miner({ rules, to: key.publicKey, name, ...(threads == null ? {} : { threads }) })

  const node = await createNode({
    rules,
    role,
    listen: init.listen,
    ...(digger == null ? {} : { produce: { ...digger, autoStart: mine } }),
    ...(dataDir == null ? {} : { dataDir }),
    ...(announce == null ? {} : { announce }),
    ...(seeds == null ? {} : { seeds }),
    ...(maxInbound == null ? {} : { peers: { maxInbound } }),
    ...(privateKey == null ? {} : { privateKey }),
    // a wallet needs the state and the pool
    ...(role === 'full' ? { services: { wallet: walletService() as never } } : {}),
    onRebuild: (progress) => report({ event: 'rebuild', ...progress }),
    // started below, so that no event comes before there is someone to hear it
    libp2p: { start: false }
  })
  const held = new HeldReport(report)
  reportChain(node, rules, key.publicKey, held.tell)
  reportPeers(node, held.tell)
  reportSync(node, held.tell)
  const balance = role === 'full' ? new BalanceWatch(node.chain, key.publicKey, held.tell) : undefined
  balance?.start()
  try {
    await node.libp2p.start()
  } catch (err) {
    await Promise.allSettled([node.stop(), digger?.stop()])
    throw err
  }
  const multiaddrs = dialable(node.multiaddrs).map(({ address }) => address)
  held.release({ event: 'listening', multiaddrs })
  const address = role === 'full' ? Buffer.from(key.publicKey).toString('hex') : undefined
  return new RunningMiningNode(node, name, address, digger, balance, new WinsWatch(node.chain, rules, key.publicKey))
}

/** Keeps what happens while the node starts, so that `listening` comes first. */
class HeldReport {
  #held: NodeEvent[] | undefined = []

  constructor(private readonly report: Report) {}

  readonly tell = (event: NodeEvent): void => {
    if (this.#held == null) this.report(event)
    else this.#held.push(event)
  }

  release(first: NodeEvent): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const event of [first, ...held]) this.report(event)
  }
}

class RunningMiningNode implements MiningNode {
  constructor(
    readonly node: Node<CoinHeader, CoinTx>,
    readonly name: string,
    readonly address: string | undefined,
    private readonly miner: Miner | undefined,
    private readonly balanceWatch: BalanceWatch | undefined,
    private readonly winsWatch: WinsWatch
  ) {}

  get balance(): bigint | undefined {
    return this.balanceWatch?.balance
  }

  get mining(): boolean {
    return this.node.producer?.running ?? false
  }

  get hashrate(): number {
    return this.mining ? (this.miner?.hashrate() ?? 0) : 0
  }

  wins(): Promise<Win[]> {
    return this.winsWatch.count()
  }

  mine(wanted: boolean): void {
    if (wanted) this.node.producer?.run()
    else this.node.producer?.halt()
  }

  async stop(): Promise<void> {
    this.mine(false)
    await Promise.all([this.node.stop(), this.miner?.stop()])
  }
}
