import { PeerError } from '../errors.js'

/** No hello in time. Fault: quality. */
export class StatusTimeoutError extends PeerError {
  constructor(ms: number) {
    super('StatusTimeoutError', 'quality', `no hello within ${ms} ms`)
  }
}

/** A message that may not come here, or too many of them. Fault: protocol. */
export class ProtocolOrderError extends PeerError {
  constructor(what: string) {
    super('ProtocolOrderError', 'protocol', what)
  }
}
