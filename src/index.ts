/**
 * @packageDocumentation
 * `createNode()` is a libp2p host with all services of this library mounted and good defaults. Each service also stands in a room
 * of its own (`blockwire/chain`, `/status`, `/peers`, `/gossip`, `/pool`, `/sync`, `/protocol`, `/pow`) and works in a plain
 * `createLibp2p({ services })`.
 *
 * @example
 * See examples/two-nodes.
 */
import { yamux } from '@chainsafe/libp2p-yamux'
import { type Identify, identify } from '@libp2p/identify'
import type { Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2pOptions, type ServiceFactoryMap } from 'libp2p'
import { type BaseHeader, Chain, type Producer, type ProducerInit, producer, type Rules } from './chain/index.js'
import { type Clock, systemClock } from './clock.js'
import type { DataDir } from './data-dir.js'
import { ConfigError, HeadersOnlyError, NodeVersionError, PortTakenError } from './errors.js'
import { type Explanation, whyOf } from './explanation.js'
import { type Blocks, blocks, type Gossip, gossip } from './gossip/index.js'
import { toHex } from './hex.js'
import { isTooOld } from './node-version.js'
import { noise } from './noise.js'
import { hostDefaults, type Peers, type PeersInit, peers, steadyMuxer } from './peers/index.js'
import { type CatchUp, catchUp, type Pool, type PoolInit, pool } from './pool/index.js'
import { Serving } from './protocol/index.js'
import { quietLogger } from './quiet-logger.js'
import { type Role, type Status, status } from './status/index.js'
import { type Light, type Sync, sync } from './sync/index.js'

export type { Explanation } from './explanation.js'

export interface NodeInit<Header extends BaseHeader, Tx> {
  /** What the chain is. Nodes with other rules, params or genesis are told why they are refused. */
  rules: Rules<Header, Tx>
  /** Keeps chain and identity in this directory, which only one node can have open. @default all in memory */
  dataDir?: string
  /** Multiaddrs to listen on. @default '/ip4/127.0.0.1/tcp/0', a free port on this computer only */
  listen?: string | string[]
  /** Multiaddrs under which others reach this node, where it cannot know them itself, e.g. behind a router. */
  announce?: string[]
  /** Multiaddrs ending in `/p2p/<peer ID>` of nodes to join the network through. Retried for ever. */
  seeds?: (string | Multiaddr)[]
  /**
   * `light`: keeps headers only, follows the one with the most work, and gets single transactions with proofs (`node.light`); it has no
   * blocks, no state, no pool, and does not know whether the blocks' state is valid. `seed`: introduces peers to each other, keeps no
   * chain. @default 'full'
   */
  role?: Role
  /** This node's identity. @default the one in dataDir, created there on the first start; without dataDir a new one */
  privateKey?: PrivateKey
  /** How many peers to keep, and how. */
  peers?: Omit<PeersInit, 'seeds' | 'role' | 'clock'>
  /** How much the pool holds, and for how long. */
  pool?: Omit<PoolInit, 'clock' | 'journal'>
  /** Produce blocks, as soon as the chain is in sync. */
  produce?: ProducerInit<Header, Tx>
  /** A branch that forks off deeper is not followed once the node was live. @default 10_000 */
  maxReorg?: number
  /** Remembers which block holds a transaction: 39 bytes of store each. Light nodes may then ask by its ID alone. @default false */
  txIndex?: boolean
  /** Hears how far it is when the state is made anew, which may take long, before this function resolves. Must not throw. */
  onRebuild?: (progress: { height: number; goal: number; why: string; done: boolean }) => void
  clock?: Clock
  /** libp2p's own options, over our defaults. Its services, datastore and key are set by the options above. */
  libp2p?: Omit<Libp2pOptions, 'services' | 'datastore' | 'privateKey'>
  /** More libp2p services of the app's own. They find ours by name: chain, peers, status, gossip, blocks, pool, catchUp, sync. */
  services?: ServiceFactoryMap
}

/** A running node. */
export interface Node<Header extends BaseHeader = BaseHeader, Tx = unknown> extends AsyncDisposable {
  readonly chain: Chain<Header, Tx>
  readonly peers: Peers
  readonly status: Status
  readonly gossip: Gossip
  /** Throws HeadersOnlyError in a light node, as `pool` does. */
  readonly blocks: Blocks
  readonly pool: Pool<Tx>
  readonly sync: Sync
  /** Single transactions with proofs: a full node answers from its own store. A seed has none to give. */
  readonly light: Light<Header, Tx>
  /** There when `produce` was given. */
  readonly producer: Producer<Header> | undefined
  /** The libp2p host itself. */
  readonly libp2p: Libp2p
  readonly peerId: PeerId
  /** The addresses under which this node can be dialled, each with its peer ID. */
  readonly multiaddrs: string[]
  /** Why it waits, in a sentence, and all from which that follows. */
  explain(): Explanation
  /** Says goodbye to all peers, writes what is open, closes the directory. May be called twice. */
  stop(): Promise<void>
}

/**
 * Makes and starts a node.
 *
 * @throws NodeVersionError before Node 22.12
 * @throws ConfigError when an option cannot work; it names the option
 * @throws DataLockedError, DataForeignError, DataRoleError, DataUnusableError, DataVersionError for the directory
 * @throws PortTakenError when another program listens there
 */
export async function createNode<Header extends BaseHeader, Tx>(init: NodeInit<Header, Tx>): Promise<Node<Header, Tx>> {
  const version = globalThis.process?.versions?.node
  if (isTooOld(version)) throw new NodeVersionError(version)
  const clock = init.clock ?? systemClock
  const role = init.role ?? 'full'
  const listen = addresses('listen', init.listen ?? '/ip4/127.0.0.1/tcp/0')
  const announce = addresses('announce', init.announce ?? [])
  checkRole(role, init)

  const dir = init.dataDir == null ? undefined : await openDirectory(init.dataDir, init.privateKey)
  let chain: Chain<Header, Tx> | undefined
  try {
    chain = new Chain<Header, Tx>({
      rules: init.rules,
      ...(dir == null ? {} : { db: dir.db, files: dir.files }),
      ...(init.maxReorg == null ? {} : { maxReorg: init.maxReorg }),
      bodies: role !== 'light',
      txIndex: init.txIndex ?? false,
      ...(init.onRebuild == null ? {} : { onRebuild: init.onRebuild }),
      clock
    })
    await chain.open()
    const libp2p = await createLibp2p<Services<Header, Tx>>(
      hostOptions(init, chain, { clock, role, listen, announce, dir })
    )
    return new RunningNode(libp2p, chain, role, dir)
  } catch (err) {
    await chain?.close()
    await dir?.close()
    throw portTaken(err) ?? err
  }
}

/** Each role keeps what it needs, and no more. */
function checkRole<Header extends BaseHeader, Tx>(role: Role, { produce, txIndex }: NodeInit<Header, Tx>): void {
  if (role === 'full') return
  if (role !== 'light' && role !== 'seed')
    throw new ConfigError('role', `'${String(role)}' is not a role`, { fix: "'full', 'light' or 'seed'" })
  const why = role === 'seed' ? 'a seed keeps no chain' : 'a light node keeps headers only'
  if (produce != null) throw new ConfigError('produce', `${why} and produces no blocks`)
  if (txIndex === true) throw new ConfigError('txIndex', `${why} and has no transactions`)
}

/** libp2p names a port that is in use only inside the text of an error about all addresses. */
function portTaken(err: unknown): PortTakenError | undefined {
  const [, host, port] = /EADDRINUSE[^\n]*?([\w.:]+):(\d+)/.exec(err instanceof Error ? err.message : '') ?? []
  return host == null ? undefined : new PortTakenError(host, Number(port), undefined)
}

/** The services of a node, by the names under which they find each other. */
type Services<Header extends BaseHeader, Tx> = {
  identify: Identify
  chain: Chain<Header, Tx>
  peers: Peers
  status: Status
  gossip: Gossip
  /** Not in a light node: it takes part in neither topic. */
  blocks?: Blocks
  pool?: Pool<Tx>
  /** Only in a full node. */
  catchUp?: CatchUp
  sync: Sync
  producer?: Producer<Header>
}

interface Opened {
  clock: Clock
  role: Role
  listen: string[]
  announce: string[]
  dir: DataDir | undefined
}

function hostOptions<Header extends BaseHeader, Tx>(
  init: NodeInit<Header, Tx>,
  chain: Chain<Header, Tx>,
  { clock, role, listen, announce, dir }: Opened
): Libp2pOptions<Services<Header, Tx>> {
  const defaults = hostDefaults()
  const given = init.libp2p ?? {}
  const privateKey = dir?.privateKey ?? init.privateKey
  const serving = new Serving({ clock, urgent: () => chain.busy })
  return {
    transports: [tcp()],
    connectionEncrypters: [noise()],
    // The cast keeps the types of the muxer's own copy of uint8arraylist out of ours.
    streamMuxers: [steadyMuxer(yamux(defaults.yamux) as never)],
    logger: quietLogger(),
    ...given,
    addresses: { listen, ...(announce.length > 0 ? { announce } : {}), ...given.addresses },
    connectionManager: { ...defaults.connectionManager, ...roomFor(init.peers), ...given.connectionManager },
    connectionMonitor: { ...defaults.connectionMonitor, ...given.connectionMonitor },
    peerStore: { ...defaults.peerStore, ...given.peerStore },
    ...(dir == null ? {} : { datastore: dir.datastore }),
    ...(privateKey == null ? {} : { privateKey }),
    services: {
      ...init.services,
      identify: identify(defaults.identify),
      chain: () => chain,
      peers: peers({
        servePing: true,
        ...init.peers,
        ...(init.seeds == null ? {} : { seeds: init.seeds }),
        role,
        clock
      }),
      status: status({ role, clock }),
      gossip: gossip({ passive: role === 'seed', clock }),
      ...(role === 'light' ? {} : { blocks: blocks({ clock }), pool: pool(poolInit(init.pool, clock, dir)) }),
      ...(role === 'full' ? { catchUp: catchUp({ clock, serving }) } : {}),
      sync: sync({ role, clock, serving }),
      ...(init.produce == null
        ? {}
        : { producer: producer({ clock, ...(init.seeds?.length ? {} : { aloneMs: 0 }), ...init.produce }) })
    }
  }
}

/** Own transactions are kept in the node's directory, where it has one. */
function poolInit(given: PoolInit = {}, clock: Clock, dir: DataDir | undefined): PoolInit {
  return { ...given, clock, ...(dir == null ? {} : { journal: dir.db }) }
}

/** libp2p's own cap, which is made for a seed's 256 and a target of 8, must not turn peers away that we were asked to keep. */
function roomFor({ maxInbound = 0, target = 0 }: PeersInit = {}): { maxConnections: number } {
  const { maxConnections } = hostDefaults().connectionManager
  return { maxConnections: maxConnections + Math.max(0, maxInbound - 256) + Math.max(0, target - 8) }
}

/** How long libp2p may take to stop before its connections are cut, in ms. */
const STOP_MS = 1_000

class RunningNode<Header extends BaseHeader, Tx> implements Node<Header, Tx> {
  #stopping: Promise<void> | undefined

  constructor(
    readonly libp2p: Libp2p<Services<Header, Tx>>,
    readonly chain: Chain<Header, Tx>,
    private readonly role: Role,
    private readonly dir: DataDir | undefined
  ) {}

  get peers(): Peers {
    return this.libp2p.services.peers
  }

  get status(): Status {
    return this.libp2p.services.status
  }

  get gossip(): Gossip {
    return this.libp2p.services.gossip
  }

  get blocks(): Blocks {
    const { blocks } = this.libp2p.services
    if (blocks == null) throw new HeadersOnlyError('node.blocks')
    return blocks
  }

  get pool(): Pool<Tx> {
    const { pool } = this.libp2p.services
    if (pool == null) throw new HeadersOnlyError('node.pool')
    return pool
  }

  get sync(): Sync {
    return this.libp2p.services.sync
  }

  get light(): Light<Header, Tx> {
    // sync knows nothing of the types of the chain that it serves
    return this.sync.light as Light<Header, Tx>
  }

  get producer(): Producer<Header> | undefined {
    return this.libp2p.services.producer
  }

  get peerId(): PeerId {
    return this.libp2p.peerId
  }

  get multiaddrs(): string[] {
    return this.libp2p.getMultiaddrs().map(String)
  }

  explain(): Explanation {
    const { height, hash } = this.chain.head
    const { pool } = this.libp2p.services
    const facts = { role: this.role, sync: this.sync.explain(), peers: this.peers.explain() }
    return {
      why: whyOf({ ...facts, suspended: this.peers.suspended }),
      peerId: this.peerId.toString(),
      head: { height, hash: toHex(hash) },
      ...facts,
      pool: { transactions: pool?.size ?? 0, bytes: pool?.bytes ?? 0 }
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(): Promise<void> {
    // a peer that does not answer our goodbye must not keep us: what has not closed in time is cut
    const cut = systemClock.after(STOP_MS, () => {
      for (const connection of this.libp2p.getConnections()) connection.abort(new Error('the node stops'))
    })
    try {
      await this.libp2p.stop()
    } finally {
      cut()
      await this.chain.close()
      await this.dir?.close()
    }
  }
}

/** The directory needs Node; without `dataDir` nothing of it is loaded. */
async function openDirectory(path: string, privateKey: PrivateKey | undefined): Promise<DataDir> {
  const { openDataDir } = await import('./data-dir.js')
  return openDataDir(path, privateKey)
}

/** Checks addresses at once, so that a typing error does not become a host that nobody reaches. */
function addresses(option: string, given: string | string[]): string[] {
  const list = Array.isArray(given) ? given : [given]
  for (const [index, address] of list.entries()) {
    try {
      multiaddr(address)
    } catch (cause) {
      throw new ConfigError(Array.isArray(given) ? `${option}[${index}]` : option, `'${address}' is no multiaddr`, {
        fix: 'write it like /ip4/127.0.0.1/tcp/5000',
        cause
      })
    }
  }
  return list
}
