import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { hostDefaults, steadyMuxer } from 'blockwire/peers'
import { afterEach, expect, test, vi } from 'vitest'
import { type Host, makeHost, until } from './hosts.js'

// Each correction beside libp2p's own value, which fails the same test: that is why it is corrected.

afterEach(() => {
  vi.useRealTimers()
})

/** Of ten hosts that dial within a second, how many stay connected. */
async function crowd(host: Host): Promise<number> {
  const guests = await Promise.all(Array.from({ length: 10 }, () => makeHost()))
  const dials = await Promise.allSettled(guests.map((guest) => guest.dial(host.getMultiaddrs())))
  return dials.filter(({ status }) => status === 'fulfilled').length
}

test('ten peers from one address are let in within a second; by default five are turned away', async () => {
  expect(await crowd(await makeHost())).toBe(10)
  expect(await crowd(await makeHost({ libp2p: { connectionManager: {} } }))).toBeLessThan(10)
})

test('a peer that answers no ping keeps its connection; by default it is cut at the first', async () => {
  const deaf = await makeHost({
    services: {
      ping: ((components: { registrar: Registrar }) => ({
        start: () => components.registrar.handle('/ipfs/ping/1.0.0', () => {}, { maxInboundStreams: 100 }),
        stop: () => {}
      })) as never
    }
  })
  const quick = { pingInterval: 50, pingTimeout: { minTimeout: 100, maxTimeout: 100 } }
  const ours = await makeHost({ libp2p: { connectionMonitor: { ...quick, ...hostDefaults().connectionMonitor } } })
  const theirs = await makeHost({ libp2p: { connectionMonitor: quick } })
  const [kept, cut] = await Promise.all([ours, theirs].map((host) => host.dial(deaf.getMultiaddrs())))
  await until("libp2p's own monitor to cut the connection", () => cut?.status !== 'open')
  expect(kept?.status).toBe('open')
})

test('eight pings at once are answered; by default the second fails', async () => {
  const other = await makeHost()
  const eight = async (host: Host): Promise<number> => {
    const connection = await host.dial(other.getMultiaddrs())
    const service = (
      host.services as unknown as { ping: { ping(peer: Connection['remotePeer'], options: object): Promise<number> } }
    ).ping
    const pings = Array.from({ length: 8 }, () =>
      service.ping(connection.remotePeer, { signal: AbortSignal.timeout(10_000) })
    )
    return (await Promise.allSettled(pings)).filter(({ status }) => status === 'fulfilled').length
  }
  expect(await eight(await makeHost())).toBe(8)
  expect(await eight(await makeHost({ services: { ping: ping() as never } }))).toBeLessThan(8)
})

test('addresses of peers are known after a day; by default they are forgotten after an hour', async () => {
  const ours = await makeHost()
  const theirs = await makeHost({ libp2p: { peerStore: {} } })
  const peer = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  const address = { multiaddrs: [multiaddr('/ip4/8.8.8.8/tcp/1')] }
  for (const host of [ours, theirs]) await host.peerStore.merge(peer, address)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 24 * 3_600_000 })
  expect((await ours.peerStore.get(peer)).addresses).toHaveLength(1)
  await expect(theirs.peerStore.get(peer).then((found) => found.addresses.length)).rejects.toMatchObject({
    name: 'NotFoundError'
  })
})

test('a reader that pauses keeps its stream, however fast the writer; by default it is reset', async () => {
  const paused = async (muxer: object): Promise<string> => {
    const streamMuxers = [yamux(muxer) as never]
    const [reader, writer] = await Promise.all([
      makeHost({ libp2p: { streamMuxers } }),
      makeHost({ libp2p: { streamMuxers } })
    ])
    let status = ''
    let read = 0
    await reader.handle('/fast/1', (stream) => {
      stream.addEventListener('message', ({ data }) => {
        read += data.byteLength
        // the window grows while the reader keeps up; then it stops
        if (read > 48 << 20 && stream.readStatus === 'readable') queueMicrotask(() => stream.pause())
      })
      stream.addEventListener('close', () => {
        status = stream.status
      })
    })
    const connection = await writer.dial(reader.getMultiaddrs())
    const stream = await connection.newStream('/fast/1')
    let stalled = 0
    const block = new Uint8Array(1 << 18)
    await until('the writer to be stopped', () => {
      if (status !== '' || stream.status !== 'open') return true
      for (let i = 0; i < 64 && !stream.writableNeedsDrain; i++) stream.send(block)
      // full twenty looks in a row after the reader stopped: the window is closed
      stalled = read > 48 << 20 && stream.writableNeedsDrain ? stalled + 1 : 0
      return stalled > 20
    })
    return status
  }
  expect(await paused(hostDefaults().yamux)).toBe('')
  expect(await paused({})).toBe('aborted')
})

test('a port that is taken stops the start', async () => {
  const first = await makeHost()
  const listen = first.getMultiaddrs()[0]?.decapsulate('/p2p').toString() ?? ''
  await expect(makeHost({ listen })).rejects.toThrow()
})

test('a connection that closes in the moment in which a stream is opened on it ends that stream only; by default it ends the process', async () => {
  let streams = 0
  /** What nobody caught while a stream was opened and its connection closed: at once in memory, later over TCP. */
  const uncaught = async (streamMuxers: unknown[]): Promise<string[]> => {
    const listen = `/memory/closing-${streams++}`
    const [host, other] = [
      await makeHost({ libp2p: { streamMuxers: streamMuxers as never } }),
      await makeHost({ listen })
    ]
    const connection = await host.dial(other.getMultiaddrs())
    const seen: string[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (err) => seen.push(err.name))
    try {
      const opened = connection.newStream('/ipfs/ping/1.0.0', { signal: AbortSignal.timeout(5000) })
      connection.abort(new Error('just now'))
      await expect(opened).rejects.toThrow()
      await until('the end of the connection', () => host.getConnections().length === 0)
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
    return seen
  }
  expect(await uncaught([steadyMuxer(yamux() as never)])).toEqual([])
  expect(await uncaught([yamux()])).toEqual(['StreamStateError'])
})
