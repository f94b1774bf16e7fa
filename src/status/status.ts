import type { Connection, IdentifyResult, Logger, PeerId, Startable, Stream } from '@libp2p/interface'
import { serviceCapabilities, serviceDependencies } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { type Clock, systemClock } from '../clock.js'
import { PeerError } from '../errors.js'
import type { Goodbye } from '../pb/status.js'
import { closeAll, within } from './closing.js'
import { Deadlines } from './deadlines.js'
import { ProtocolOrderError } from './errors.js'
import { type FaultPort, faultPort } from './faults.js'
import { GoodbyeCode, goodbyeReason } from './goodbye.js'
import { type Difference, difference, type Greeting, helloOf, type Role, valuesText } from './hello.js'
import type { PeerStatus, Status, StatusComponents, StatusEvents, StatusInit } from './index.js'
import { Pace } from './pace.js'
import { differenceTold, type Refusal, Refusals } from './refusals.js'
import { Roster } from './roster.js'
import type { Session, SessionInit, SessionOwner } from './session.js'
import { MAX_REPLACED, Sessions, STATUS_PROTOCOL } from './sessions.js'

const HELLO_MS = 5_000
/** How long an identified inbound connection may stay without a status stream. */
const UNOPENED_MS = 10_000
/** How long a peer whose stream is lost keeps its place while another connection to it is open. */
const SURVIVOR_MS = 5_000
const GOODBYE_MS = 500
const HEAD_MS = 50

export class StatusService extends TypedEventEmitter<StatusEvents> implements Status, Startable, SessionOwner {
  readonly [Symbol.toStringTag] = '@blockwire/status'
  readonly [serviceCapabilities]: string[] = ['@blockwire/status']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify']

  readonly #log: Logger
  readonly #clock: Clock
  readonly #role: Role
  readonly #roster = new Roster({
    joined: (detail) => this.safeDispatchEvent('join', { detail }),
    headChanged: (detail) => this.safeDispatchEvent('head', { detail }),
    left: (detail) => this.safeDispatchEvent('leave', { detail })
  })
  readonly #refusals = new Refusals()
  readonly #sessions = new Sessions({ owner: this, begin: () => this.#begin() })
  /** Of inbound connections without a stream. */
  readonly #unopened: Deadlines
  /** Of connections over which they have said goodbye. */
  readonly #parting: Deadlines
  /** By peer: of those that lost their stream but have another connection. */
  readonly #survivors: Deadlines
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
    this.#unopened = new Deadlines(this.#clock)
    this.#parting = new Deadlines(this.#clock)
    this.#survivors = new Deadlines(this.#clock)
    this.#heads = new Pace(HEAD_MS, this.#clock, this.#tellHead)
  }

  get peers(): ReadonlyMap<string, PeerStatus> {
    return this.#roster.peers
  }

  get(peer: PeerId): PeerStatus | undefined {
    return this.#roster.peers.get(peer.toString())
  }

  refusal(peer: PeerId): Refusal | undefined {
    return this.#refusals.get(peer, valuesText(this.components.chain), this.#clock.now())
  }

  async goodbye(peer: PeerId, code: GoodbyeCode): Promise<void> {
    const key = peer.toString()
    const sessions = this.#sessions.alive(key)
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
      onConnect: (_peer, connection) => this.#sessions.open(connection)
    })
  }

  async beforeStop(): Promise<void> {
    this.#running = false
    this.components.chain.removeEventListener('head', this.#heads.ask)
    const sessions = this.#sessions.alive()
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
    this.#unopened.clear()
    this.#parting.clear()
    this.#survivors.clear()
    this.#run.abort(new Error('status stopped'))
    this.#sessions.stop()
    this.#roster.peers.clear()
    this.#refusals.clear()
    await this.components.registrar.unhandle(STATUS_PROTOCOL)
  }

  // Streams

  readonly #onStream = (stream: Stream, connection: Connection): void => {
    if (connection.direction === 'outbound') {
      const err = new ProtocolOrderError('a status stream from the side that was dialled')
      stream.abort(err)
      this.#charge(connection.remotePeer, err)
    } else {
      this.#refusals.forget(connection.remotePeer)
      this.#sessions.adopt(stream, connection)
    }
  }

  #begin(): SessionInit | undefined {
    if (!this.#running) return undefined
    return {
      hello: () => helloOf(this.components.chain, this.#role, this.init.lowest?.() ?? 0),
      helloMs: this.init.helloMs ?? HELLO_MS,
      clock: this.#clock,
      signal: this.#run.signal
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
    this.#survivors.cancel(session.key)
    if (this.#role !== 'seed') session.tellHead(this.components.chain.head)
    this.#roster.accept(session.connection, theirs)
  }

  headChanged(session: Session): void {
    this.#faults?.heard?.(session.peer)
    this.#roster.setHead(session.key, session.theirs?.head)
  }

  goodbyeReceived(session: Session, goodbye: Goodbye): void {
    const reason = goodbyeReason(goodbye.code)
    this.#log('%p said goodbye: %s', session.peer, reason)
    const differs = differenceTold(goodbye)
    if (differs != null) this.#report(session, differs, true)
    if (goodbye.code !== GoodbyeCode.duplicate) this.#leave(session.key, reason, goodbye.code)
    // Whoever said goodbye closes; in case it does not, we do.
    this.#parting.set(session.connection.id, 2 * GOODBYE_MS, () => this.#close([session.connection]))
  }

  faulted(session: Session, err: PeerError, fatal: boolean): void {
    this.#charge(session.peer, err)
    if (!fatal) return
    this.#leave(session.key, err.name)
    this.#closeSoon(session)
  }

  ended(session: Session, err: PeerError | undefined): void {
    this.#sessions.remove(session)
    if (!this.#running || session.replaced) return
    const { connection, phase } = session
    if (phase !== 'over' && err != null && connection.status === 'open') {
      // A stream that is merely lost may have been closed with its connection, by either side.
      if (err.name !== 'StreamLostError') this.#charge(session.peer, err)
      if (phase === 'greeting' || err.fault === 'protocol') {
        if (phase === 'accepted') this.#leave(session.key, err.name)
        this.#close([connection])
      }
    }
    this.#settle(session.key, err?.name ?? 'connection closed')
  }

  openFailed(connection: Connection, err: Error): void {
    if (!this.#running || connection.status !== 'open') return
    this.#charge(connection.remotePeer, err)
    this.#close([connection])
  }

  #refuse(session: Session, differs: Difference): void {
    this.#report(session, differs, false)
    session.sayGoodbye({ ...differs, code: GoodbyeCode[differs.code] })
    this.#closeSoon(session)
  }

  #report(session: Session, differs: Difference, byThem: boolean): void {
    const refusal = { peer: session.peer, ...differs, byThem }
    this.#refusals.set(refusal, valuesText(this.components.chain), this.#clock.now())
    const { field, ours, theirs } = differs
    this.#log('%p follows another chain: %s is %s here, %s there', session.peer, field, ours, theirs)
    this.safeDispatchEvent('refused', { detail: refusal })
  }

  // Who stays

  /** A stream or a connection of this peer has gone: it stays while another stream, or hope for one, is there. */
  #settle(key: string, reason: string): void {
    const status = this.#roster.peers.get(key)
    if (status == null || !this.#running) return
    const other = this.#sessions.accepted(key)
    if (other != null) {
      this.#roster.move(key, other.connection)
      return
    }
    const open = this.#connections(status.peer)
    if (open.length === 0) {
      this.#leave(key, reason)
      return
    }
    this.#survivors.set(key, SURVIVOR_MS, () => {
      this.#leave(key, reason)
      this.#close(this.#connections(status.peer))
    })
    for (const connection of open) this.#sessions.open(connection)
  }

  /** `code`: of the goodbye that they said. */
  #leave(key: string, reason: string, code?: number): void {
    this.#survivors.cancel(key)
    this.#roster.leave(key, reason, code)
  }

  /** After our goodbye: once they have closed their side, or half a second later, all connections to the peer are closed. */
  #closeSoon(session: Session): void {
    within(GOODBYE_MS, this.#clock, session.done).then(() => this.#close(this.#connections(session.peer)))
  }

  readonly #onConnectionClose = (event: CustomEvent<Connection>): void => {
    const { id, remotePeer } = event.detail
    this.#unopened.cancel(id)
    this.#parting.cancel(id)
    const session = this.#sessions.on(event.detail)
    this.#sessions.forget(event.detail)
    // a session ends by itself, and has read by then what came with the end: a goodbye says more than that the connection is closed
    if (session == null) this.#settle(remotePeer.toString(), 'connection closed')
  }

  readonly #onIdentify = (event: CustomEvent<IdentifyResult>): void => {
    const { connection } = event.detail
    if (connection.direction !== 'inbound') return
    this.#refusals.forget(connection.remotePeer)
    this.#unopened.set(connection.id, UNOPENED_MS, () => {
      if (this.#sessions.on(connection) != null || this.get(connection.remotePeer) != null) return
      this.#log('%p opened no status stream within %d ms', connection.remotePeer, UNOPENED_MS)
      this.#close([connection])
    })
  }

  readonly #tellHead = (): void => {
    for (const session of this.#sessions) {
      if (session.phase === 'accepted') session.tellHead(this.components.chain.head)
    }
  }

  #close(connections: Connection[]): void {
    closeAll(connections, GOODBYE_MS, this.#clock)
  }

  #connections(peer: PeerId): Connection[] {
    return this.components.connectionManager.getConnections(peer).filter(({ status }) => status === 'open')
  }

  #charge(peer: PeerId, err: Error): void {
    this.#log('%p: %s: %s', peer, err.name, err.message)
    if (err instanceof PeerError) this.#faults?.fault(peer, err.fault, `${err.name}: ${err.message}`)
  }
}
