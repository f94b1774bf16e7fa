import type { Connection, ConnectionGater } from '@libp2p/interface'
import { expect } from 'vitest'
import { type Host, idOf, makeHost, TOPIC, until } from './hosts.js'

/**
 * Two hosts dial each other at once. When both have joined and subscribed there is one connection, the same at both ends, and a gossip
 * message passes in each direction. With `gater: false` nothing is decided before the upgrade, and duplicates
 * have to be settled. Answers how many connections an end has identified.
 */
export async function crossingDials(listen: string, { gater = true } = {}): Promise<{ identified: number }> {
  const gaters: ConnectionGater[] = [{}, {}]
  const [a, b] = await Promise.all(
    gaters.map((connectionGater, i) =>
      makeHost({
        gossip: true,
        listen: listen.startsWith('/memory') ? `${listen}-${i}` : listen,
        libp2p: { connectionGater }
      })
    )
  )
  if (!gater) for (const each of gaters) each.denyInboundEncryptedConnection = () => false
  if (a == null || b == null) throw new Error('no hosts')
  const heard = new Map<Host, string[]>([
    [a, []],
    [b, []]
  ])
  for (const host of [a, b]) {
    host.services.pubsub.subscribe(TOPIC)
    host.services.pubsub.addEventListener('message', ({ detail }) =>
      heard.get(host)?.push(new TextDecoder().decode(detail.data))
    )
  }
  const identified = [a, b].map((host) => {
    const seen = new Set<Connection>()
    host.addEventListener('peer:identify', ({ detail }) => seen.add(detail.connection))
    return seen
  })
  await Promise.allSettled([a.dial(b.getMultiaddrs()), b.dial(a.getMultiaddrs())])
  const links = (host: Host) => host.getConnections().filter((connection) => connection.status === 'open')
  const see = (): string =>
    [a, b]
      .map((host) =>
        links(host)
          .map((link) => `${link.direction} ${link.streams.map((s) => `${s.direction} ${s.protocol}`)}`)
          .join(' | ')
      )
      .join(' ~ ')
  await until(
    () => `one connection at both ends, subscribed: ${see()}`,
    () =>
      [a, b].every((host) => {
        const other = host === a ? b : a
        return (
          links(host).length === 1 &&
          host.services.peers.connected.has(idOf(other)) &&
          host.services.pubsub.getSubscribers(TOPIC).some((peer) => peer.toString() === idOf(other))
        )
      })
  )
  let n = 0
  for (const [from, to] of [
    [a, b],
    [b, a]
  ] as const) {
    const say = (): void => {
      const message = `${n++} ${idOf(from)}`.slice(0, 20)
      void from.services.pubsub.publish(TOPIC, new TextEncoder().encode(message))
    }
    say()
    await until(
      () => `gossip from ${from === a ? 'a' : 'b'}: ${see()}`,
      () => {
        // what is said while a duplicate closes may be lost with it, as on any link
        if (!gater) say()
        return (heard.get(to)?.length ?? 0) > 0
      },
      5000
    )
  }
  const [atA, atB] = [links(a), links(b)]
  expect([atA.length, atB.length], see()).toEqual([1, 1])
  expect(new Set([atA[0]?.direction, atB[0]?.direction]).size, 'both ends keep the same connection').toBe(2)
  expect(a.services.peers.connected.get(idOf(b))?.connection).toBe(atA[0])
  await Promise.all([a.stop(), b.stop()])
  return { identified: Math.max(...identified.map((seen) => seen.size)) }
}
