import type { Connection, PeerId } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { byteStream } from '@libp2p/utils'
import type { Clock } from '../clock.js'

const PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32
/** A stream may carry many pings: one of them in this time, and so many bytes in all. */
const NEXT_MS = 10_000
const MAX_BYTES = 65_536
const STREAMS = { maxInboundStreams: 8, maxOutboundStreams: 8, runOnLimitedConnection: true }

/**
 * Asks over this very connection whether its other end is alive. libp2p's ping protocol, but not its client, which dials the peer
 * when the connection is gone and waits for ever without a signal. Resolves on any answer, "I do not speak ping" included; rejects
 * when none came.
 */
export async function ping(connection: Connection, signal: AbortSignal): Promise<void> {
  try {
    const stream = await connection.newStream(PROTOCOL, { signal, runOnLimitedConnection: true })
    try {
      const bytes = byteStream(stream, { maxBufferSize: 4 * PING_BYTES })
      await Promise.all([
        bytes.write(crypto.getRandomValues(new Uint8Array(PING_BYTES)), { signal }),
        bytes.read({ bytes: PING_BYTES, signal })
      ])
      await stream.close({ signal })
    } catch (err) {
      stream.abort(err instanceof Error ? err : new Error('ping failed'))
      throw err
    }
  } catch (err) {
    if (err instanceof Error && err.name === 'UnsupportedProtocolError') return
    throw err
  }
}

/** Whether a failed ping says nothing about the peer: the streams that we may have open at once were used up by others here. */
export function isOurs(err: unknown): boolean {
  return err instanceof Error && err.name === 'TooManyOutboundProtocolStreamsError'
}

/**
 * Answers pings until the returned function is called, and tells who asked. libp2p's own service keeps every stream for ten seconds after it
 * was closed, which is 7 KB of what an idle peer costs, and tells nobody: then both ends ping, where one would do.
 */
export async function servePing(
  registrar: Registrar,
  clock: Clock,
  heard: (peer: PeerId) => void
): Promise<() => Promise<void>> {
  await registrar.handle(
    PROTOCOL,
    async (stream, connection) => {
      heard(connection.remotePeer)
      const giveUp = (): void => stream.abort(new Error(`no ping within ${NEXT_MS / 1000} s`))
      let cancel = clock.after(NEXT_MS, giveUp)
      let bytes = 0
      try {
        for await (const data of stream) {
          bytes += data.byteLength
          if (bytes > MAX_BYTES) throw new Error(`over ${MAX_BYTES} bytes of pings`)
          cancel()
          cancel = clock.after(NEXT_MS, giveUp)
          stream.send(data)
        }
        await stream.close()
      } finally {
        cancel()
      }
    },
    STREAMS
  )
  return () => registrar.unhandle(PROTOCOL)
}
