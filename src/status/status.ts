import type { Connection, IdentifyResult, Logger, PeerId, Startable, Stream } from '@libp2p/interface'
import { serviceCapabilities, serviceDependencies } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { type Clock, systemClock } from '../clock.js'
import type { Fault, PeerError } from '../errors.js'
import { toHex } from '../hex.js'
import type { Goodbye } from '../pb/status.js'
import { openStream } from '../protocol/index.js'
import { closeAll, within } from './closing.js'
import { ProtocolOrderError } from './errors.js'
import { forkId } from './fork-id.js'
import { cleanText, GoodbyeCode, goodbyeReason } from './goodbye.js'
import { type Difference, difference, forkText, type Greeting, helloOf, type PeerHead, type Role } from './hello.js'
import type { PeerStatus, Status, StatusComponents, StatusEvents, StatusInit } from './index.js'
import { Pace } from './pace.js'
import { type Refusal, Refusals } from './refusals.js'
import { Session, type SessionOwner } from './session.js'

/** The one protocol that does not carry the chain's name: a stranger can be told why it is one. */
export const STATUS_PROTOCOL = '/blockwire/status/1'

const HELLO_MS = 5_000
/** How long an identified inbound connection may stay without a status stream. */
const UNOPENED_MS = 10_000
/** How long a peer whose stream is lost keeps its place while another connection to it is open. */
const SURVIVOR_MS = 5_000
const GOODBYE_MS = 500
const HEAD_MS = 50
/** Streams of one connection that may take the place of one another before that is a fault. */
const MAX_REPLACED = 8

interface FaultPort {
  fault(peer: PeerId, fault: Fault, reason: string): void
  heard?(peer: PeerId): void
}

export class StatusService extends TypedEventEmitter<StatusEvents> implements Status, Startable, SessionOwner {
  readonly [Symbol.toStringTag] = '@blockwire/status'
  readonly [serviceCapabilities]: string[] = ['@blockwire/status']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify']

  readonly #log: Logger
  readonly #clock: Clock
  readonly #role: Role
  readonly #peers = new Map<string, PeerStatus>()
  readonly #refusals = new Refusals()
  /** By connection ID, as all maps below but one. */
  readonly #sessions = new Map<string, Session>()
  readonly #opening = new Set<string>()
  readonly #replaced = new Map<string, number>()
  /** Deadlines of inbound connections without a stream. */
  readonly #unopened = new Map<string, () => void>()
  /** By peer: deadlines of those that lost their stream but have another connection. */
  readonly #survivors = new Map<string, () => void>()
  #run = new AbortController()
  #running = false
  #topology: string | undefined
  #faults: FaultPort | undefined
  readonly #heads: Pace

  constructor(
    private readonly components: StatusComponents,
    private readonly init: StatusInit = {}
  ) {
    super()
    this.#log = components.logger.forComponent('blockwire:status')
    this.#clock = init.clock ?? systemClock
    this.#role = init.role ?? 'full'
    this.#heads = new Pace(HEAD_MS, this.#clock, this.#tellHead)
  }

  get peers(): ReadonlyMap<string, PeerStatus> {
    return this.#peers
  }

  get(peer: PeerId): PeerStatus | undefined {
    return this.#peers.get(peer.toString())
  }

  refusal(peer: PeerId): Refusal | undefined {
    return this.#refusals.get(peer, this.#ourValues())
  }

  async goodbye(peer: PeerId, code: GoodbyeCode): Promise<void> {
    const key = peer.toString()
    const sessions = [...this.#sessions.values()].filter((session) => session.key === key && session.phase !== 'over')
    for (const session of sessions) session.sayGoodbye({ code })
    this.#leave(key, goodbyeReason(code))
    await within(GOODBYE_MS, this.#clock, Promise.all(sessions.map((session) => session.flushed)))
  }

  // Lifecycle

  async start(): Promise<void> {
    this.#run = new AbortController()
    this.#running = true
    this.#faults = faultPort(this.components)
    this.components.events.addEventListener('peer:identify', this.#onIdentify)
    this.components.events.addEventListener('connection:close', this.#onConnectionClose)
    if (this.#role !== 'seed') this.components.chain.addEventListener('head', this.#heads.ask)
    await this.components.registrar.handle(STATUS_PROTOCOL, this.#onStream, {
      maxInboundStreams: MAX_REPLACED,
      maxOutboundStreams: MAX_REPLACED
    })
    this.#topology = await this.components.registrar.register(STATUS_PROTOCOL, {
      onConnect: (_peer, connection) => this.#open(connection)
    })
  }

  async beforeStop(): Promise<void> {
    this.#running = false
    this.components.chain.removeEventListener('head', this.#heads.ask)
    const sessions = [...this.#sessions.values()].filter((session) => session.phase !== 'over')
    for (const session of sessions) session.sayGoodbye({ code: GoodbyeCode.shuttingDown })
    await within(GOODBYE_MS, this.#clock, Promise.all(sessions.map((session) => session.flushed)))
  }

  async stop(): Promise<void> {
    this.#running = false
    this.components.chain.removeEventListener('head', this.#heads.ask)
    this.components.events.removeEventListener('peer:identify', this.#onIdentify)
    this.components.events.removeEventListener('connection:close', this.#onConnectionClose)
    if (this.#topology != null) this.components.registrar.unregister(this.#topology)
    this.#topology = undefined
    this.#heads.stop()
    for (const cancel of [...this.#unopened.values(), ...this.#survivors.values()]) cancel()
    this.#unopened.clear()
    this.#survivors.clear()
    this.#run.abort(new Error('status stopped'))
    for (const session of this.#sessions.values()) session.abort(new Error('status stopped'))
    this.#sessions.clear()
    this.#opening.clear()
    this.#replaced.clear()
    this.#peers.clear()
    this.#refusals.clear()
    await this.components.registrar.unhandle(STATUS_PROTOCOL)
  }

  // Streams

  /** Opens the stream on a connection that we dialled, unless the peer has one already. */
  #open(connection: Connection): void {
    if (!this.#running || connection.direction !== 'outbound' || connection.status !== 'open') return
    if (this.#sessions.has(connection.id) || this.#opening.has(connection.id)) return
    if (this.#session(connection.remotePeer.toString(), 'accepted') != null) return
    this.#opening.add(connection.id)
    openStream(connection, STATUS_PROTOCOL, this.#helloMs, this.#clock, this.#run.signal).then(
      (stream) => {
        this.#opening.delete(connection.id)
        if (this.#running) this.#adopt(stream, connection)
        else stream.abort(new Error('status stopped'))
      },
      (err: PeerError) => {
        this.#opening.delete(connection.id)
        if (!this.#running || connection.status !== 'open') return
        this.#charge(connection.remotePeer, err)
        closeAll([connection], GOODBYE_MS, this.#clock)
      }
    )
  }

  readonly #onStream = (stream: Stream, connection: Connection): void => {
    if (!this.#running) {
      stream.abort(new Error('status stopped'))
    } else if (connection.direction === 'outbound') {
      const err = new ProtocolOrderError('a status stream from the side that was dialled')
      stream.abort(err)
      this.#charge(connection.remotePeer, err)
    } else {
      this.#adopt(stream, connection)
    }
  }

  #adopt(stream: Stream, connection: Connection): void {
    const older = this.#sessions.get(connection.id)
    const session = new Session(
      stream,
      connection,
      {
        hello: helloOf(this.components.chain, this.#role, this.init.lowest?.() ?? 0),
        helloMs: this.#helloMs,
        clock: this.#clock,
        signal: this.#run.signal
      },
      this
    )
    this.#sessions.set(connection.id, session)
    if (connection.direction === 'inbound') this.#refusals.forget(connection.remotePeer)
    if (older == null) return
    older.replace()
    const times = (this.#replaced.get(connection.id) ?? 0) + 1
    this.#replaced.set(connection.id, times)
    if (times > MAX_REPLACED) {
      this.faulted(session, new ProtocolOrderError(`over ${MAX_REPLACED} status streams on a connection`), true)
      session.sayGoodbye({ code: GoodbyeCode.fault, field: 'ProtocolOrderError' })
    }
  }

  // What happens in sessions

  greeted(session: Session, theirs: Greeting): void {
    this.#faults?.heard?.(session.peer)
    const differs = difference(this.components.chain, theirs)
    if (differs != null) {
      this.#refuse(session, differs)
      return
    }
    session.phase = 'accepted'
    this.#refusals.forget(session.peer)
    this.#survivors.get(session.key)?.()
    this.#survivors.delete(session.key)
    const before = this.#peers.get(session.key)
    const status = statusOf(session, theirs)
    this.#peers.set(session.key, status)
    if (this.#role !== 'seed') session.tellHead(this.components.chain.head)
    if (before == null) this.safeDispatchEvent('join', { detail: status })
    else if (!sameHead(before.head, status.head)) this.safeDispatchEvent('head', { detail: status })
  }

  headChanged(session: Session): void {
    this.#faults?.heard?.(session.peer)
    const before = this.#peers.get(session.key)
    if (before == null || session.theirs == null || sameHead(before.head, session.theirs.head)) return
    const status = { ...statusOf(session, session.theirs), connection: before.connection }
    this.#peers.set(session.key, status)
    this.safeDispatchEvent('head', { detail: status })
  }

  goodbyeReceived(session: Session, { code, field, ours, theirs }: Goodbye): void {
    const reason = goodbyeReason(code)
    this.#log('%p said goodbye: %s', session.peer, reason)
    const mismatch = MISMATCH[code]
    if (mismatch != null && !session.refused) {
      // What is theirs is ours here.
      const words = { field: cleanText(field), ours: cleanText(theirs), theirs: cleanText(ours) }
      this.#report(session, { code: mismatch, ...words }, true)
    }
    if (code !== GoodbyeCode.duplicate) this.#leave(session.key, reason)
    // Whoever said goodbye closes; in case it does not, we do.
    const cancel = this.#clock.after(2 * GOODBYE_MS, () => closeAll([session.connection], GOODBYE_MS, this.#clock))
    session.connection.addEventListener('close', cancel, { once: true })
  }

  faulted(session: Session, err: PeerError, fatal: boolean): void {
    this.#charge(session.peer, err)
    if (!fatal) return
    this.#leave(session.key, err.name)
    this.#closeSoon(session)
  }

  ended(session: Session, err: PeerError | undefined): void {
    if (this.#sessions.get(session.connection.id) === session) this.#sessions.delete(session.connection.id)
    if (!this.#running || session.replaced) return
    const { connection, phase } = session
    if (phase !== 'over' && err != null && connection.status === 'open') {
      // A stream that is merely lost may have been closed with its connection, by either side.
      if (err.name !== 'StreamLostError') this.#charge(session.peer, err)
      if (phase === 'greeting' || err.fault === 'protocol') {
        if (phase === 'accepted') this.#leave(session.key, err.name)
        closeAll([connection], GOODBYE_MS, this.#clock)
      }
    }
    this.#settle(session.key, err?.name ?? 'connection closed')
  }

  #refuse(session: Session, differs: Difference): void {
    this.#report(session, differs, false)
    session.sayGoodbye({ ...differs, code: GoodbyeCode[differs.code] })
    this.#closeSoon(session)
  }

  #report(session: Session, differs: Difference, byThem: boolean): void {
    session.refused = true
    const refusal = { peer: session.peer, ...differs, byThem }
    this.#refusals.set(refusal, this.#ourValues())
    this.#log(
      '%p follows another chain: %s is %s here, %s there',
      session.peer,
      differs.field,
      differs.ours,
      differs.theirs
    )
    this.safeDispatchEvent('refused', { detail: refusal })
  }

  // Who stays

  /** A stream or a connection of this peer has gone: it stays while another stream, or hope for one, is there. */
  #settle(key: string, reason: string): void {
    const status = this.#peers.get(key)
    if (status == null || !this.#running) return
    const other = this.#session(key, 'accepted')
    if (other?.theirs != null) {
      this.#peers.set(key, { ...status, connection: other.connection })
      return
    }
    const open = this.#connections(status.peer)
    if (open.length === 0) {
      this.#leave(key, reason)
      return
    }
    if (!this.#survivors.has(key)) {
      const cancel = this.#clock.after(SURVIVOR_MS, () => {
        this.#leave(key, reason)
        closeAll(this.#connections(status.peer), GOODBYE_MS, this.#clock)
      })
      this.#survivors.set(key, cancel)
    }
    for (const connection of open) this.#open(connection)
  }

  #leave(key: string, reason: string): void {
    this.#survivors.get(key)?.()
    this.#survivors.delete(key)
    const status = this.#peers.get(key)
    if (status == null) return
    this.#peers.delete(key)
    this.safeDispatchEvent('leave', { detail: { peer: status.peer, reason } })
  }

  /** After our goodbye: once they have closed their side, or half a second later, all connections to the peer are closed. */
  #closeSoon(session: Session): void {
    within(GOODBYE_MS, this.#clock, session.done).then(() =>
      closeAll(this.#connections(session.peer), GOODBYE_MS, this.#clock)
    )
  }

  readonly #onConnectionClose = (event: CustomEvent<Connection>): void => {
    const { id, remotePeer } = event.detail
    this.#unopened.get(id)?.()
    this.#unopened.delete(id)
    this.#replaced.delete(id)
    this.#settle(remotePeer.toString(), 'connection closed')
  }

  readonly #onIdentify = (event: CustomEvent<IdentifyResult>): void => {
    const { connection } = event.detail
    if (connection.direction !== 'inbound' || this.#unopened.has(connection.id)) return
    this.#refusals.forget(connection.remotePeer)
    const cancel = this.#clock.after(UNOPENED_MS, () => {
      this.#unopened.delete(connection.id)
      if (this.#sessions.has(connection.id) || this.#peers.has(connection.remotePeer.toString())) return
      this.#log('%p opened no status stream within %d ms', connection.remotePeer, UNOPENED_MS)
      closeAll([connection], GOODBYE_MS, this.#clock)
    })
    this.#unopened.set(connection.id, cancel)
  }

  readonly #tellHead = (): void => {
    for (const session of this.#sessions.values()) {
      if (session.phase === 'accepted') session.tellHead(this.components.chain.head)
    }
  }

  // Small questions

  get #helloMs(): number {
    return this.init.helloMs ?? HELLO_MS
  }

  #session(key: string, phase: Session['phase']): Session | undefined {
    for (const session of this.#sessions.values()) if (session.key === key && session.phase === phase) return session
    return undefined
  }

  #connections(peer: PeerId): Connection[] {
    return this.components.connectionManager.getConnections(peer).filter(({ status }) => status === 'open')
  }

  #charge(peer: PeerId, err: PeerError): void {
    this.#log('%p: %s: %s', peer, err.name, err.message)
    this.#faults?.fault(peer, err.fault ?? 'none', `${err.name}: ${err.message}`)
  }

  /** All of ours that a refusal can rest on and that changes while we run. */
  #ourValues(): string {
    const { network, genesis, forks, head } = this.components.chain
    return `${network} ${toHex(genesis.hash)} ${forkText(forkId(genesis.hash, forks, head.height))}`
  }
}

const MISMATCH: Record<number, Difference['code'] | undefined> = {
  [GoodbyeCode.network]: 'network',
  [GoodbyeCode.genesis]: 'genesis',
  [GoodbyeCode.fork]: 'fork'
}

function statusOf(session: Session, { role, lowest, head, version, params }: Greeting): PeerStatus {
  const { peer, connection } = session
  return { peer, connection, role, lowest, version, params, ...(head == null ? {} : { head }) }
}

function sameHead(a: PeerHead | undefined, b: PeerHead | undefined): boolean {
  if (a == null || b == null) return a === b
  return a.work === b.work && a.height === b.height && toHex(a.hash) === toHex(b.hash)
}

/** libp2p's components throw for a name that is missing. */
function faultPort(components: object): FaultPort | undefined {
  try {
    return (components as { peers?: FaultPort }).peers
  } catch {
    return undefined
  }
}
