import type { Connection } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'

const PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32

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
