import type { Connection, Stream } from '@libp2p/interface'
import { openStream } from '../protocol/index.js'
import { ProtocolOrderError } from './errors.js'
import { GoodbyeCode } from './goodbye.js'
import { Session, type SessionInit, type SessionOwner } from './session.js'

/** The one protocol that does not carry the chain's name: a stranger can be told why it is one. */
export const STATUS_PROTOCOL = '/blockwire/status/1'

/** Streams of one connection that may take the place of one another before that is a fault. */
export const MAX_REPLACED = 8

export interface SessionsInit {
  owner: SessionOwner & {
    /** No stream could be opened on a connection that we dialled. */
    openFailed(connection: Connection, err: Error): void
  }
  /** What a session that begins now begins with. Undefined when none may begin. */
  begin(): SessionInit | undefined
}

/** All status streams: at most one per connection. */
export class Sessions implements Iterable<Session> {
  /** By connection ID, as all below. */
  readonly #sessions = new Map<string, Session>()
  readonly #opening = new Set<string>()
  readonly #replaced = new Map<string, number>()

  constructor(private readonly init: SessionsInit) {}

  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values()
  }

  on(connection: Connection): Session | undefined {
    return this.#sessions.get(connection.id)
  }

  accepted(key: string): Session | undefined {
    for (const session of this) if (session.key === key && session.phase === 'accepted') return session
    return undefined
  }

  /** Those that have not said or heard goodbye. */
  alive(key?: string): Session[] {
    return [...this].filter((session) => session.phase !== 'over' && (key == null || session.key === key))
  }

  /** Opens a stream on a connection that we dialled, unless the peer has one already. */
  open(connection: Connection): void {
    const begin = this.init.begin()
    if (begin == null || connection.direction !== 'outbound' || connection.status !== 'open') return
    if (this.#sessions.has(connection.id) || this.#opening.has(connection.id)) return
    if (this.accepted(connection.remotePeer.toString()) != null) return
    this.#opening.add(connection.id)
    openStream(connection, STATUS_PROTOCOL, begin.helloMs, begin.clock, begin.signal).then(
      (stream) => {
        this.#opening.delete(connection.id)
        this.adopt(stream, connection)
      },
      (err: Error) => {
        this.#opening.delete(connection.id)
        this.init.owner.openFailed(connection, err)
      }
    )
  }

  /** Begins a session on a stream. It takes the place of an older one on the same connection. */
  adopt(stream: Stream, connection: Connection): void {
    const begin = this.init.begin()
    if (begin == null) {
      stream.abort(new Error('status stopped'))
      return
    }
    const older = this.#sessions.get(connection.id)
    const session = new Session(stream, connection, begin, this.init.owner)
    this.#sessions.set(connection.id, session)
    if (older == null) return
    older.replace()
    const times = (this.#replaced.get(connection.id) ?? 0) + 1
    this.#replaced.set(connection.id, times)
    if (times <= MAX_REPLACED) return
    const err = new ProtocolOrderError(`over ${MAX_REPLACED} status streams on a connection`)
    this.init.owner.faulted(session, err, true)
    session.sayGoodbye({ code: GoodbyeCode.fault, field: err.name })
  }

  /** A session has ended. */
  remove(session: Session): void {
    if (this.#sessions.get(session.connection.id) === session) this.#sessions.delete(session.connection.id)
  }

  /** A connection is gone; its session ends by itself. */
  forget(connection: Connection): void {
    this.#replaced.delete(connection.id)
  }

  stop(): void {
    for (const session of this) session.abort(new Error('status stopped'))
    this.#sessions.clear()
    this.#opening.clear()
    this.#replaced.clear()
  }
}
