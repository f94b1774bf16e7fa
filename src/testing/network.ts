import { memory } from '@libp2p/memory'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { BaseHeader, Located, Rules } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { systemClock } from '../clock.js'
import { WaitTimeoutError } from '../errors.js'
import { toHex } from '../hex.js'
import { createNode, type Node, type NodeInit } from '../index.js'

export interface NetworkInit<Header extends BaseHeader, Tx> {
  rules: Rules<Header, Tx>
  /** How many nodes. @default 3 */
  nodes?: number
  /**
   * Who knows whom at the start: `line` each the one before it, `star` all the first, `none` nobody.
   * @default 'line'
   */
  shape?: 'line' | 'star' | 'none'
  /** Options of node `index`, over those of the network. */
  node?(index: number): Partial<NodeInit<Header, Tx>>
  clock?: Clock
}

/** Nodes in one process, joined in memory: no sockets, real protocols. */
export interface Network<Header extends BaseHeader, Tx> extends AsyncDisposable {
  readonly nodes: Node<Header, Tx>[]
  /** Starts one more node that knows the given ones. */
  join(seeds: Node<Header, Tx>[], init?: Partial<NodeInit<Header, Tx>>): Promise<Node<Header, Tx>>
  /**
   * Cuts all links between nodes of different groups, without a goodbye: connections break, and dials fail until `heal()` or another
   * `partition`. A node in none of the groups is alone. Only links in memory are cut.
   */
  partition(...groups: Node<Header, Tx>[][]): void
  /** Dials succeed again. Whoever wants to find the others has to dial: nobody is told. */
  heal(): void
  stop(): Promise<void>
}

let networks = 0

/** Starts a network in memory. Its nodes stop with `stop()`. */
export async function createNetwork<Header extends BaseHeader, Tx>(
  init: NetworkInit<Header, Tx>
): Promise<Network<Header, Tx>> {
  const id = ++networks
  const nodes: Node<Header, Tx>[] = []
  const names: string[] = []
  let groups: string[][] | undefined
  /** Is there no link between these two? */
  const isCut = (a: string, b: string): boolean =>
    groups != null && a !== b && !groups.some((group) => group.includes(a) && group.includes(b))
  const network: Network<Header, Tx> = {
    nodes,
    async join(seeds, more = {}) {
      const name = `/memory/blockwire-${id}-${names.length}`
      names.push(name)
      const node = await createNode<Header, Tx>({
        rules: init.rules,
        listen: name,
        seeds: seeds.flatMap((seed) => seed.multiaddrs),
        ...(init.clock == null ? {} : { clock: init.clock }),
        ...more,
        libp2p: { transports: [links((to) => isCut(name, to))], ...more.libp2p }
      })
      nodes.push(node)
      return node
    },
    partition(...parts) {
      const nameOf = new Map(nodes.map((node) => [node.peerId.toString(), node.libp2p.getMultiaddrs().map(nameIn)[0]!]))
      groups = parts.map((group) => group.map((node) => nameOf.get(node.peerId.toString())!))
      for (const { libp2p, peerId } of nodes) {
        for (const connection of libp2p.getConnections()) {
          const [a, b] = [peerId, connection.remotePeer].map((peer) => nameOf.get(peer.toString()))
          if (a != null && b != null && isCut(a, b)) connection.abort(new Error('the network is partitioned'))
        }
      }
    },
    heal() {
      groups = undefined
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
    [Symbol.asyncDispose]: () => network.stop()
  }
  try {
    for (let index = 0; index < (init.nodes ?? 3); index++) {
      const shape = init.shape ?? 'line'
      const seed = shape === 'none' || index === 0 ? undefined : nodes[shape === 'line' ? index - 1 : 0]
      await network.join(seed == null ? [] : [seed], init.node?.(index))
    }
  } catch (err) {
    await network.stop()
    throw err
  }
  return network
}

/** The memory transport, over links that can be cut. */
function links(isCut: (to: string) => boolean): ReturnType<typeof memory> {
  return (components) => {
    const transport = memory()(components)
    const dial = transport.dial.bind(transport)
    transport.dial = async (address, options) => {
      const check = (): void => {
        if (isCut(nameIn(address))) throw new Error(`${address} cannot be reached: the network is partitioned`)
      }
      check()
      const connection = await dial(address, options)
      try {
        check()
      } catch (err) {
        connection.abort(err as Error)
        throw err
      }
      return connection
    }
    return transport
  }
}

function nameIn(address: Multiaddr): string {
  return address.toString().split('/p2p/')[0]!
}

/**
 * Waits until `condition` holds, looking again every 20 ms.
 *
 * @throws WaitTimeoutError naming `what` when it has not come within `ms` @default 20_000
 */
export async function until(what: string, condition: () => boolean, ms = 20_000): Promise<void> {
  const deadline = systemClock.now() + ms
  while (!condition()) {
    if (systemClock.now() > deadline) throw new WaitTimeoutError(`waited ${ms} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Waits until all nodes stand on one head of at least `height`; the message of a failure shows every head. */
export async function oneHead<Header extends BaseHeader>(
  nodes: { readonly chain: { readonly head: Located<Header> } }[],
  height = 0,
  ms = 20_000
): Promise<Located<Header>> {
  const heads = (): Located<Header>[] => nodes.map((node) => node.chain.head)
  const agreed = (): boolean =>
    new Set(heads().map(({ hash }) => toHex(hash))).size === 1 && heads()[0]!.height >= height
  try {
    await until('one head', agreed, ms)
  } catch {
    const list = heads().map((head) => `#${head.height} ${toHex(head.hash).slice(0, 8)}`)
    throw new WaitTimeoutError(`no common head of at least #${height} after ${ms} ms: ${list.join(', ')}`)
  }
  return heads()[0]!
}
