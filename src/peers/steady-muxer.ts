import type { MessageStream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { WindowUpdates } from './window-updates.js'

const YAMUX = '/yamux/1.0.0'

/** A part of libp2p's muxers that their type leaves out. */
interface Sender {
  send?(data: Uint8Array): boolean
}

/**
 * A muxer that does not end the process. yamux opens a stream in a microtask of its own; where the connection is closed between
 * `newStream` and that, its first frame throws where nobody can catch it (seen with @chainsafe/libp2p-yamux 8.0.1 and @libp2p/utils 7.4.1,
 * `muxer.onCreateStream`), and what a peer sends can bring that about. With this a frame for a connection that is closed goes nowhere; the
 * stream ends with the connection. It also sends fewer window updates, see `WindowUpdates`.
 *
 * ```ts
 * createLibp2p({ streamMuxers: [steadyMuxer(yamux())] })
 * ```
 */
export function steadyMuxer<Components>(
  make: (components: Components) => StreamMuxerFactory
): (components: Components) => StreamMuxerFactory {
  return (components) => {
    const factory = make(components)
    const create = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection: MessageStream): StreamMuxer => {
      const muxer: StreamMuxer & Sender = create(connection)
      const send = muxer.send?.bind(muxer)
      if (send != null) {
        const updates =
          muxer.protocol === YAMUX ? new WindowUpdates(() => muxer.streams.map(({ id }) => id)) : undefined
        muxer.send = (data) => {
          if (connection.status !== 'open') return false
          const frame = updates == null ? data : updates.pass(data)
          return frame == null || send(frame)
        }
      }
      return muxer
    }
    return factory
  }
}
