/**
 * @packageDocumentation
 * Protocols of your own, bounded on both sides: `defineProtocol` for a request that is answered by items, `framed` for a
 * conversation of length-prefixed frames, `lined` for one of lines. Every read has a byte limit, and a deadline where one is given;
 * a slow reader makes the writer wait, and what goes wrong is a `PeerError` that says whose fault it is.
 *
 * @example
 * ```ts
 * const names = defineProtocol({
 *   name: '/my-app/names/1',
 *   request: text,
 *   item: text,
 *   limits: { requestBytes: 64, itemBytes: 64, items: 100, answerBytes: 6_400, totalMs: 30_000, inbound: 2 }
 * })
 * const stop = await names.serve(registrar, '', async function* (prefix) { yield* find(prefix) }, { onFault })
 * for await (const page of names.request(connection, '', 'al')) console.log(page)
 * ```
 */
export {
  BusyError,
  FloodError,
  MalformedError,
  NotFoundError,
  PeerError,
  StreamLostError,
  TimeoutError,
  TooLargeError,
  TooManyItemsError,
  TruncatedError,
  UnsupportedError
} from '../errors.js'
export { type Framed, type FramedInit, framed } from './framed.js'
export { type LinedInit, lined } from './lined.js'
export { openStream } from './open-stream.js'
export {
  type Answer,
  type Codec,
  defineProtocol,
  type Protocol,
  type ProtocolDefinition,
  type ProtocolLimits,
  type RequestContext,
  type RequestHandler,
  type RequestOptions,
  rawBytes,
  type ServeHooks
} from './protocol.js'
export { Serving, type ServingInit, type Turns } from './serving.js'
