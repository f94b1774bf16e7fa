import { type PeerStatus, type Refusal, type Status, type StatusInit, status } from 'blockwire/status'
import { HandClock } from 'blockwire/testing'
import { type Host, startHost } from '../protocol/hosts.js'
import { FakeChain } from './chain.js'

/** A host with the status service, and all that it said. */
export interface StatusNode extends Host {
  id: string
  chain: FakeChain
  clock: HandClock
  status: Status
  joined: PeerStatus[]
  heads: PeerStatus[]
  left: { peer: string; reason: string }[]
  refused: Refusal[]
  faults: { peer: string; fault: string; name: string }[]
}

export async function startNode(chain = new FakeChain(), init: StatusInit = {}): Promise<StatusNode> {
  const clock = new HandClock()
  const faults: StatusNode['faults'] = []
  const host = await startHost({
    chain: () => chain,
    status: status({ clock, ...init }) as () => Status,
    peers: () => ({
      fault: (peer: unknown, fault: string, reason: string) =>
        faults.push({ peer: String(peer), fault, name: reason.split(':')[0]! })
    })
  })
  const service = host.libp2p.services.status as Status
  const node: StatusNode = {
    ...host,
    id: host.libp2p.peerId.toString(),
    chain,
    clock,
    status: service,
    joined: [],
    heads: [],
    left: [],
    refused: [],
    faults
  }
  service.addEventListener('join', ({ detail }) => node.joined.push(detail))
  service.addEventListener('head', ({ detail }) => node.heads.push(detail))
  service.addEventListener('leave', ({ detail }) => node.left.push({ ...detail, peer: String(detail.peer) }))
  service.addEventListener('refused', ({ detail }) => node.refused.push(detail))
  return node
}
