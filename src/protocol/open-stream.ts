import type { Connection, Stream } from '@libp2p/interface'
import type { Clock } from '../clock.js'
import { BusyError, StreamLostError, TimeoutError, UnsupportedError } from '../errors.js'

/**
 * Opens a stream, within `ms`. Of several protocols, the first that the peer speaks.
 *
 * @throws UnsupportedError, TimeoutError, StreamLostError; BusyError when too many of ours are open on this connection; the
 * reason of `signal`
 */
export async function openStream(
  connection: Connection,
  ids: string | string[],
  ms: number,
  clock: Clock,
  signal?: AbortSignal
): Promise<Stream> {
  signal?.throwIfAborted()
  const id = String(ids)
  const giveUp = new AbortController()
  const onAbort = (): void => giveUp.abort(signal?.reason)
  const cancel = clock.after(ms, () => giveUp.abort(new TimeoutError(`no stream for ${id} within ${ms} ms`)))
  signal?.addEventListener('abort', onAbort)
  try {
    return await connection.newStream(ids, { signal: giveUp.signal })
  } catch (err) {
    if (giveUp.signal.aborted) throw giveUp.signal.reason
    throw reasonOf(err, id)
  } finally {
    cancel()
    signal?.removeEventListener('abort', onAbort)
  }
}

function reasonOf(err: unknown, id: string): Error {
  const { name, message } = err instanceof Error ? err : { name: '', message: String(err) }
  if (name === 'UnsupportedProtocolError') return new UnsupportedError(`${id} is not spoken there`, err)
  if (name === 'TooManyOutboundProtocolStreamsError') return new BusyError(1_000, `too many of our streams for ${id}`)
  return new StreamLostError(`no stream for ${id}: ${message}`, err)
}
