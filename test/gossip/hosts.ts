import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { PeerId } from '@libp2p/interface'
import { memory } from '@libp2p/memory'
import { tcp } from '@libp2p/tcp'
import type { Verdict } from 'blockwire/chain'
import type { Gossip, GossipInit } from 'blockwire/gossip'
import { gossip } from 'blockwire/gossip'
import { createLibp2p, type Libp2p, type ServiceFactoryMap } from 'libp2p'
import { afterEach } from 'vitest'

/** What a host's peers service was told. */
export class Judge {
  readonly heardOf = new Set<string>()
  readonly verdicts: { peer: string; verdict: Verdict }[] = []
  readonly faults: string[] = []

  heard(peer: PeerId): void {
    this.heardOf.add(peer.toString())
  }

  judge(peer: PeerId, verdict: Verdict): void {
    this.verdicts.push({ peer: peer.toString(), verdict })
    changed()
  }

  fault(peer: PeerId, _fault: string, reason: string): void {
    this.faults.push(`${peer} ${reason}`)
  }

  score(): number {
    return 0
  }

  /** Results in order, those other than accept with their reason. */
  get results(): string[] {
    return this.verdicts.map(({ verdict }) =>
      verdict.result === 'accept' ? 'accept' : `${verdict.result} ${verdict.reason}`
    )
  }
}

export interface Host {
  libp2p: Libp2p<{ gossip: Gossip } & Record<string, unknown>>
  gossip: Gossip
  judge: Judge
}

export const limits = { blockBytes: 1_048_576, txBytes: 65_536, headerBytes: 1_024, futureMs: 15_000 }

const hosts: Host[] = []
let names = 0

afterEach(async () => {
  await Promise.all(hosts.splice(0).map(({ libp2p }) => libp2p.stop()))
})

export interface HostInit {
  transport?: 'memory' | 'tcp'
  gossip?: GossipInit
  chain?: object
  services?: ServiceFactoryMap
}

/** A libp2p host with gossip on a made-up chain, or a given one. Stopped after the test. */
export async function host(init: HostInit = {}): Promise<Host> {
  const judge = new Judge()
  const inMemory = init.transport !== 'tcp'
  const libp2p = await createLibp2p({
    addresses: { listen: [inMemory ? `/memory/gossip-${process.pid}-${names++}` : '/ip4/127.0.0.1/tcp/0'] },
    transports: [inMemory ? memory() : tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux() as never],
    connectionMonitor: { enabled: false },
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 1_000 },
    services: {
      identify: identify(),
      chain: () => init.chain ?? { id: 'test-00000000', limits },
      peers: () => judge,
      gossip: gossip(init.gossip) as never,
      ...init.services
    }
  })
  const made = { libp2p: libp2p as unknown as Host['libp2p'], gossip: libp2p.services.gossip as Gossip, judge }
  hosts.push(made)
  for (const event of ['subscription-change', 'gossipsub:graft', 'gossipsub:prune', 'gossipsub:heartbeat'] as const) {
    made.gossip.pubsub.addEventListener(event, changed)
  }
  return made
}

/** Joins each to the one before it. */
export async function line(...members: Host[]): Promise<void> {
  for (let i = 1; i < members.length; i++) await members[i]!.libp2p.dial(members[i - 1]!.libp2p.getMultiaddrs())
}

const waiting = new Set<() => void>()

/** Something happened that a test may wait for. */
export function changed(): void {
  for (const look of [...waiting]) look()
}

/** Waits until `condition` holds, looking whenever something has `changed`. Heartbeats of gossip look once a second. */
export function until(what: string, condition: () => boolean, ms = 20_000): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (!condition()) return
      clearTimeout(timer)
      waiting.delete(look)
      resolve()
    }
    const timer = setTimeout(() => {
      waiting.delete(look)
      reject(new Error(`waited ${ms} ms for ${what}`))
    }, ms)
    waiting.add(look)
    look()
  })
}

/** Waits until neighbours in this line are in each other's mesh on the topic of this name. */
export function meshed(name: string, ...members: Host[]): Promise<void> {
  const full = `/blockwire/${(members[0]!.libp2p.services.chain as { id: string }).id}/${name}/1`
  const missing = (): string[] =>
    members.slice(1).flatMap((member, i) => {
      const before = members[i]!
      const both: [number, Host, Host][] = [
        [i, before, member],
        [i + 1, member, before]
      ]
      return both
        .filter(([, a, b]) => !inMesh(a, b, full))
        .map(([at, , b]) => `host ${at} to mesh with ${b.libp2p.peerId}`)
    })
  return until(`a mesh on ${name}`, () => missing().length === 0).catch((err: Error) => {
    throw new Error(`${err.message}: ${missing().join(', ')}`)
  })
}

function inMesh(a: Host, b: Host, topic: string): boolean {
  const peer = b.libp2p.peerId.toString()
  return a.gossip.links().some((link) => link.peer === peer && link.mesh.includes(topic))
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (data: Uint8Array): string => new TextDecoder().decode(data)
