/**
 * @packageDocumentation
 * The errors that a caller can act on. Match them by `err.name`, never by text or `instanceof`. Each has a `code` (the heading in
 * docs/errors.md), a message with the values at fault, and `fix`: what to do.
 */

/**
 * How bad it is for the peer that caused it. `provable`: wrong beyond doubt, leads to a ban. `protocol`: against the rules of
 * the wire, adds up. `quality`: slow or gone, lowers priority only. `none`: nobody's fault.
 */
export type Fault = 'provable' | 'protocol' | 'quality' | 'none'

export interface BlockwireErrorInit {
  /** What to do about it, one sentence. */
  fix?: string
  cause?: unknown
}

/** What all errors of this library have in common. */
export class BlockwireError extends Error {
  /** One sentence: what to do. */
  readonly fix: string | undefined

  constructor(
    name: string,
    readonly code: string,
    message: string,
    init: BlockwireErrorInit = {}
  ) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause })
    this.name = name
    this.fix = init.fix
  }
}

/** An option has a value that cannot work. Thrown at once, by the constructor or factory that took it. */
export class ConfigError extends BlockwireError {
  constructor(
    /** The option at fault, as written by the caller, e.g. `seeds[1]`. */
    readonly option: string,
    message: string,
    init: BlockwireErrorInit = {}
  ) {
    super('ConfigError', 'BW_CONFIG', `${option}: ${message}`, init)
  }
}

/** The data directory is in use by another process. */
export class DataLockedError extends BlockwireError {
  constructor(dir: string, holder: string | undefined, cause?: unknown) {
    super('DataLockedError', 'BW_DATA_LOCKED', `${dir} is in use by ${holder ?? 'another process'}`, {
      fix: 'stop it, or give this node its own directory',
      cause
    })
  }
}

/** The data directory holds another chain than the one asked for. */
export class DataForeignError extends BlockwireError {
  constructor(where: string, field: string, stored: string, wanted: string) {
    super(
      'DataForeignError',
      'BW_DATA_FOREIGN',
      `${where} holds another chain: ${field} ${stored} there, ${wanted} here`,
      {
        fix: 'use the same rules as before, or another directory'
      }
    )
  }
}

/** The data directory is that of a light node, which keeps headers only, and this node is none; or the other way round. */
export class DataRoleError extends BlockwireError {
  constructor(where: string, light: boolean) {
    super(
      'DataRoleError',
      'BW_DATA_ROLE',
      light
        ? `${where} holds the headers of a light node, and this node keeps blocks`
        : `${where} holds blocks, and this light node keeps headers only`,
      {
        fix: `start it with role '${light ? 'light' : 'full'}' as before, or give this node a directory of its own`
      }
    )
  }
}

/** The data directory cannot be created, read or written. */
export class DataUnusableError extends BlockwireError {
  constructor(
    where: string,
    why: string,
    cause?: unknown,
    fix = 'choose a directory that you may write to, and check that the disk is not full'
  ) {
    super('DataUnusableError', 'BW_DATA_UNUSABLE', `${where} cannot be used: ${why}`, { fix, cause })
  }
}

/** The store was written in another format, by another state version or under another list of forks. */
export class DataVersionError extends BlockwireError {
  constructor(
    where: string,
    field: 'format' | 'state version' | 'forks',
    stored: string,
    wanted: string,
    why?: string
  ) {
    super(
      'DataVersionError',
      'BW_DATA_VERSION',
      `${where} was written with ${field} ${stored}, this program has ${wanted}${why == null ? '' : `: ${why}`}`,
      {
        fix:
          field === 'format'
            ? 'use the version of blockwire that wrote it, or another directory'
            : 'run the rules that wrote it, or remove the directory and sync again'
      }
    )
  }
}

/** A write to the store failed: the chain stands where it stood before. */
export class StoreWriteError extends BlockwireError {
  constructor(what: string, cause: unknown) {
    super(
      'StoreWriteError',
      'BW_STORE_WRITE',
      `could not write ${what}: ${cause instanceof Error ? cause.message : cause}`,
      {
        fix: 'check that the disk is not full and the directory is writable; the chain continues from its last head',
        cause
      }
    )
  }
}

/** Something that the store must hold is not there or damaged. */
export class StoreReadError extends BlockwireError {
  constructor(what: string, cause?: unknown) {
    super('StoreReadError', 'BW_STORE_READ', `${what} is missing from the store or damaged`, {
      fix: 'check the disk; what is missing is fetched again from peers, and a restart checks the store',
      cause
    })
  }
}

/** A rule of the app threw where it should have answered. What it judged was ignored, nobody was charged. */
export class RuleError extends BlockwireError {
  constructor(
    /** Which one, e.g. `state.applyTx`. */
    readonly rule: string,
    cause: unknown
  ) {
    super('RuleError', 'BW_RULE', `rules.${rule} threw: ${cause instanceof Error ? cause.message : String(cause)}`, {
      fix: 'let the rule answer { reject } or { ignore }; the error that it threw is the cause of this one',
      cause
    })
  }
}

/** A heavier branch forks off deeper than `maxReorg`: it is not followed. */
export class ReorgTooDeepError extends BlockwireError {
  constructor(depth: number, maxReorg: number, hash: string) {
    super(
      'ReorgTooDeepError',
      'BW_REORG_TOO_DEEP',
      `a heavier branch (${hash}) forks off ${depth} blocks back, over maxReorg ${maxReorg}`,
      {
        fix: 'find out which branch is right; chain.acceptSplit(hash) follows the other one, and so does an empty directory'
      }
    )
  }
}

/** The chain keeps headers only, as that of a light node does: it has no blocks, no state and no pool. */
export class HeadersOnlyError extends BlockwireError {
  constructor(
    /** What was asked for, e.g. `chain.state`. */
    readonly what: string
  ) {
    super('HeadersOnlyError', 'BW_HEADERS_ONLY', `${what}: a light node keeps headers only, and does not have that`, {
      fix: "ask for single transactions with node.light.get(), or run the node with role 'full'"
    })
  }
}

/** Your own block or transaction was refused; `reason` says by which rule. */
export class RefusedError extends BlockwireError {
  constructor(
    readonly reason: string,
    message: string
  ) {
    super('RefusedError', 'BW_REFUSED', message, { fix: 'see the reason in docs/errors.md' })
  }
}

/** A transaction could not be proven to be in a block of the head chain. */
export class ProofUnavailableError extends BlockwireError {
  constructor(tx: string, why: string) {
    super('ProofUnavailableError', 'BW_PROOF_UNAVAILABLE', `no proof of transaction ${tx.slice(0, 16)}: ${why}`, {
      fix: 'check its ID and its block; another peer may have it later, see node.explain()'
    })
  }
}

/** A listening port is taken. */
export class PortTakenError extends BlockwireError {
  constructor(host: string, port: number, next: number | undefined) {
    super('PortTakenError', 'BW_PORT_TAKEN', `port ${port} on ${host} is taken`, {
      fix: next == null ? 'choose another port' : `choose another port: ${next} is free`
    })
  }
}

/** A peer that was to be dialled cannot be reached; the message says why. */
export class UnreachableError extends BlockwireError {
  constructor(target: string, why: string, cause?: unknown) {
    super('UnreachableError', 'BW_UNREACHABLE', `${target} cannot be reached: ${why}`, {
      fix: 'check that the other side runs, and copy its address again, whole',
      cause
    })
  }
}

/** Nobody is here to say something to. */
export class ChatAloneError extends BlockwireError {
  constructor() {
    super('ChatAloneError', 'BW_CHAT_ALONE', 'nobody is here: the line was not sent', {
      fix: 'wait until somebody joins, and say it again'
    })
  }
}

/** The running Node is too old. */
export class NodeVersionError extends BlockwireError {
  constructor(found: string) {
    super('NodeVersionError', 'BW_NODE_VERSION', `blockwire needs Node 22.12 or newer, this is ${found}`, {
      fix: 'install a newer Node'
    })
  }
}

/** A wait came to its deadline; the message says what was missing. */
export class WaitTimeoutError extends BlockwireError {
  constructor(message: string) {
    super('WaitTimeoutError', 'BW_WAIT_TIMEOUT', message, { fix: 'wait longer, or see node.explain()' })
  }
}

/** Something went wrong with a peer; `fault` says what it costs that peer. Thrown by requests, never by listeners. */
export class PeerError extends BlockwireError {
  constructor(
    name: string,
    readonly fault: Fault,
    message: string,
    cause?: unknown
  ) {
    const code = `BW_PEER_${name
      .replace(/Error$/, '')
      .replace(/(?<=[a-z])(?=[A-Z])/g, '_')
      .toUpperCase()}`
    super(name, code, message, { fix: 'nothing: another peer is asked', cause })
  }
}

/** A frame, an item or an answer is over its limit. */
export class TooLargeError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('TooLargeError', 'protocol', message, cause)
  }
}

/** Bytes that do not decode, or that the protocol does not allow here. */
export class MalformedError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('MalformedError', 'protocol', message, cause)
  }
}

/** An answer holds more than was asked for. */
export class TooManyItemsError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('TooManyItemsError', 'protocol', message, cause)
  }
}

/** A stream ended before what it carried was whole: a lost connection looks like this. */
export class TruncatedError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('TruncatedError', 'quality', message, cause)
  }
}

/** A stream was reset, or could not be opened. */
export class StreamLostError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('StreamLostError', 'quality', message, cause)
  }
}

/** The peer was too slow: to answer, to go on, or to read what it asked for. */
export class TimeoutError extends PeerError {
  constructor(message: string, fault: Fault = 'quality', cause?: unknown) {
    super('TimeoutError', fault, message, cause)
  }
}

/** The peer does not speak the protocol that it was asked in. */
export class UnsupportedError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('UnsupportedError', 'quality', message, cause)
  }
}

/** Ask later. A handler throws it, and the asker gets it. */
export class BusyError extends PeerError {
  constructor(
    /** When to ask again, in milliseconds from now. */
    readonly retryMs: number,
    message = `busy, ask again in ${retryMs} ms`
  ) {
    super('BusyError', 'none', message)
  }
}

/** A peer asks far more than it may: at once, or on and on although it was told to wait. */
export class FloodError extends PeerError {
  constructor(message: string, cause?: unknown) {
    super('FloodError', 'protocol', message, cause)
  }
}

/** What was asked for is not there. A handler throws it, and the asker gets it. */
export class NotFoundError extends PeerError {
  constructor(message = 'not there') {
    super('NotFoundError', 'none', message)
  }
}
