import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import { memory } from '@libp2p/memory'
import { createLibp2p } from 'libp2p'

export interface Inside {
  registrar: Registrar
  connectionManager: ConnectionManager
}

/** A libp2p host in memory, and what a service of it would see. */
export interface Host<T extends Record<string, unknown> = Record<string, unknown>> {
  libp2p: Libp2p<T & { identify: unknown }>
  registrar: Registrar
  connectionManager: ConnectionManager
}

let hosts = 0

/** Starts a host in memory. `services` are added to identify. */
export async function startHost<T extends Record<string, unknown> = Record<string, unknown>>(
  services: { [K in keyof T]: (components: never) => T[K] } = {} as never
): Promise<Host<T>> {
  let inside: Inside | undefined
  const libp2p = await createLibp2p({
    addresses: { listen: [`/memory/wire-${process.pid}-${hosts++}`] },
    transports: [memory()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        streamOptions: { maxStreamWindowSize: 4 << 20, maxReadBufferLength: 5 << 20, maxWriteBufferLength: 32 << 20 }
      }) as never
    ],
    connectionMonitor: { enabled: false },
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 1_000 },
    services: {
      ...services,
      identify: identify(),
      inside: (components: Inside) => {
        inside = components
        return {}
      }
    } as never
  })
  return { libp2p: libp2p as never, registrar: inside!.registrar, connectionManager: inside!.connectionManager }
}

/** Stops hosts. Their connections are cut first: two ends that close at once wait half a second for each other. */
export async function stopHosts(...list: Host[]): Promise<void> {
  for (const { libp2p } of list)
    for (const connection of libp2p.getConnections()) connection.abort(new Error('test over'))
  await Promise.all(list.map(({ libp2p }) => libp2p.stop()))
}

/** Dials `to` and gives the connection at both ends. */
export async function connect(from: Host, to: Host): Promise<{ out: Connection; in: Connection }> {
  const out = await from.libp2p.dial(to.libp2p.getMultiaddrs())
  const inbound = (): Connection | undefined =>
    to.libp2p.getConnections(from.libp2p.peerId).find(({ status }) => status === 'open')
  await until(() => inbound() != null, 'the connection at the listener')
  return { out, in: inbound()! }
}

/** Waits for a condition, turn by turn of the event loop. */
export async function until(condition: () => boolean, what: string | (() => string), ms = 15_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!condition()) {
    if (Date.now() > deadline)
      throw new Error(`still missing after ${ms} ms: ${typeof what === 'string' ? what : what()}`)
    await turn()
  }
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Lets all work that needs no clock run out: `turns` of the event loop. */
export async function settle(turns = 50): Promise<void> {
  for (let i = 0; i < turns; i++) await turn()
}
