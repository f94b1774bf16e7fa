import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, PeerId } from '@libp2p/interface'
import { memory } from '@libp2p/memory'
import { Chain, type Verdict } from 'blockwire/chain'
import type { Fault } from 'blockwire/errors'
import { steadyMuxer } from 'blockwire/peers'
import { type Role, type Status, status } from 'blockwire/status'
import { type Sync, type SyncChain, type SyncInit, type SyncProgress, sync } from 'blockwire/sync'
import { buildChain, type TestBlockOptions, type TestHeader, type TestTx, testRules, until } from 'blockwire/testing'
import { createLibp2p, type Libp2p } from 'libp2p'
import { systemClock } from '../../dist/src/clock.js'
import { type SyncProtocol, syncProtocol } from '../../dist/src/sync/wire.js'

export type TestChain = Chain<TestHeader, TestTx>

/** Writes down what a peers service would be told. */
export class Recorder {
  heardOf = new Set<string>()
  readonly faults: { peer: string; fault: Fault; reason: string }[] = []
  readonly verdicts: { peer: string; reason: string; via: string }[] = []

  heard(peer: PeerId): void {
    this.heardOf.add(peer.toString())
  }

  fault(peer: PeerId, fault: Fault, reason: string): void {
    this.faults.push({ peer: peer.toString(), fault, reason })
  }

  judge(peer: PeerId, verdict: Verdict, via: string): void {
    if (verdict.result === 'reject') this.verdicts.push({ peer: peer.toString(), reason: verdict.reason, via })
  }

  /** Who was charged with more than slowness. */
  get charged(): string[] {
    const guilty = this.faults.filter(({ fault }) => fault === 'protocol' || fault === 'provable')
    return [...new Set([...guilty, ...this.verdicts].map(({ peer }) => peer))]
  }
}

export interface Host {
  node: Libp2p<{ identify: Identify; chain: TestChain; status: Status; peers: Recorder; sync: Sync }>
  chain: TestChain
  sync: Sync
  peers: Recorder
  id: string
  states: SyncProgress[]
}

export interface HostInit {
  /** How many blocks it has at the start. */
  blocks?: number
  /** Or which. */
  chain?: TestChain
  role?: Role
  lowest?: number
  /** What the services see instead of parts of the chain. */
  disguise?: Record<string, unknown>
  /** It takes no headers before this: until then it can be joined with others. */
  gate?: Promise<unknown>
  /** What it tells as its head. */
  claim?: { hash: Uint8Array; height: number; work: bigint }
  sync?: SyncInit
  /** Its sync hears no event, of the chain or of status. */
  deaf?: boolean
}

export const rules = testRules()
const hosts: Host[] = []
let names = 0

/** A chain of `count` blocks, open. */
export async function chainOf(
  count: number,
  options: (i: number) => TestBlockOptions = () => ({})
): Promise<TestChain> {
  const chain = new Chain({ rules })
  await chain.open()
  await extend(chain, count, options)
  return chain
}

/** Another node's copy of a chain. */
export async function copyOf(chain: TestChain): Promise<TestChain> {
  const copy = await chainOf(0)
  for await (const page of chain.blocks(1, chain.head.height)) await copy.addBlocks(page)
  return copy
}

export async function extend(
  chain: TestChain,
  count: number,
  options: (i: number) => TestBlockOptions = () => ({})
): Promise<void> {
  const blocks = buildChain(rules, chain.head, count, options)
  const { verdict } = await chain.addBlocks(blocks.map(({ bytes }) => bytes))
  if (verdict.result !== 'accept') throw new Error(`blocks for a test: ${verdict.reason} ${verdict.detail}`)
}

/** The chain with some of its parts replaced. */
export function disguised<T extends object>(chain: T, parts: Record<string, unknown>): T {
  return new Proxy(chain, {
    get(target, name) {
      if (typeof name === 'string' && name in parts) return parts[name]
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

/** A host with chain, status and sync, in memory; `stopAll` stops it. */
export async function host(init: HostInit = {}): Promise<Host> {
  const chain = init.chain ?? (await chainOf(init.blocks ?? 0))
  const seen = disguised(chain, { ...init.disguise, ...(init.claim == null ? {} : { head: init.claim }) })
  const gate = {
    async addHeaders(headers: Uint8Array[]) {
      await init.gate
      return chain.addHeaders(headers)
    }
  }
  const silence = init.deaf ? { addEventListener: () => {}, removeEventListener: () => {} } : {}
  const served = disguised(chain, { ...gate, ...init.disguise, ...silence })
  const role = init.role ?? 'full'
  const peers = new Recorder()
  const node = await createLibp2p({
    addresses: { listen: [`/memory/sync-${++names}`] },
    transports: [memory()],
    connectionEncrypters: [noise()],
    // connections are cut here: yamux alone throws then what nobody can catch
    streamMuxers: [steadyMuxer(yamux() as never)],
    connectionMonitor: { enabled: false },
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 1_000 },
    services: {
      identify: identify(),
      chain: () => seen,
      peers: () => peers,
      status: status({ role, lowest: () => init.lowest ?? 0 }),
      sync: (components: { status: Status }) =>
        sync({ role, lowest: () => init.lowest ?? 0, ...init.sync })(
          disguised(components, {
            chain: served,
            get status() {
              return disguised(components.status, silence)
            }
          }) as never
        )
    }
  })
  const made: Host = { node, chain, sync: node.services.sync, peers, id: node.peerId.toString(), states: [] }
  made.sync.addEventListener('state', ({ detail }) => made.states.push(detail))
  hosts.push(made)
  return made
}

export async function stopAll(): Promise<void> {
  await Promise.all(hosts.splice(0).map(({ node }) => node.stop()))
}

/** Connects two hosts and waits until each knows the other's status. */
export async function join(from: Host, to: Host): Promise<Connection> {
  const connection = await from.node.dial(to.node.getMultiaddrs())
  await until(
    'the handshake',
    () => from.node.services.status.peers.has(to.id) && to.node.services.status.peers.has(from.id)
  )
  return connection
}

/** Waits until a host stands on `height` and is live; the failure says where it stands instead. */
export async function liveAt({ chain, sync }: Host, height: number, ms = 25_000): Promise<void> {
  try {
    await until('live', () => sync.state === 'live' && chain.head.height === height, ms)
  } catch {
    const { sources, ...rest } = sync.explain()
    throw new Error(`not live at ${height} after ${ms} ms: ${JSON.stringify(rest)} ${JSON.stringify(sources)}`)
  }
}

/** The protocol as a client sees it. */
export function protocolOf(chain: SyncChain): SyncProtocol {
  return syncProtocol(chain.limits, systemClock)
}
