import { bootstrap } from '@libp2p/bootstrap'
import type { AbortOptions, Logger, PeerDiscovery, PeerId, Startable } from '@libp2p/interface'
import { peerDiscoverySymbol, serviceCapabilities, serviceDependencies, start, stop } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { setMaxListeners, TypedEventEmitter } from 'main-event'
import type { Verdict } from '../chain/index.js'
import { pause, systemClock } from '../clock.js'
import type { Fault } from '../errors.js'
import type { GoodbyeCode } from '../status/index.js'
import type { Ban } from './bans.js'
import { textOf } from './dialler.js'
import { faultOf, type Via } from './faults.js'
import { guard } from './gater.js'
import type { BanOptions, JoinedPeer, PeerReport, Peers, PeersEvents, PeersInit } from './index.js'
import type { Inquiry } from './inquiry.js'
import type { PartingCause } from './metrics.js'
import type { Settings } from './options.js'
import { GOODBYE, Parts } from './parts.js'
import { servePing } from './ping.js'
import { report } from './report.js'
import { Settling } from './settling.js'
import { type PeersComponents, type Siblings, siblings } from './siblings.js'

/** How often everything is looked at again. Nothing depends on an event alone: what was missed is found at the next look. */
const TICK_MS = 1000
/** How long the last writing may hold up the end. */
const LAST_SAVE_MS = 3000
const NO_SIBLINGS: Siblings = { chain: undefined, status: undefined, identify: undefined }

/** See `Peers`. Its life, and what others say to it and ask of it; `Parts` holds what it is made of. */
export class PeersService extends TypedEventEmitter<PeersEvents> implements Peers, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/peers'
  readonly [serviceCapabilities]: string[] = ['@blockwire/peers']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify']
  readonly #components: PeersComponents
  readonly #init: PeersInit
  readonly #log: Logger
  readonly #bootstrap: PeerDiscovery | undefined
  readonly #parts: Parts
  readonly #settling = new Settling(() => this.#isSettled())
  readonly #tasks = new Set<Promise<unknown>>()
  #siblings = NO_SIBLINGS
  #inquiry: Inquiry | undefined
  #unserve: (() => Promise<void>)[] = []
  #unguard: (() => void) | undefined
  #run = new AbortController()
  /** Aborts when we stop, and when we are suspended. */
  #awake = new AbortController()
  /** From `afterStart` to `beforeStop`: what is dialled before is not seen, and would be dialled without end. */
  #isRunning = false
  #suspending: Promise<void> | undefined
  #cancelTick: (() => void) | undefined
  #lookSoon = false

  constructor(components: PeersComponents, init: PeersInit, settings: Settings) {
    super()
    this.#components = components
    this.#init = init
    this.#log = components.logger.forComponent('blockwire:peers')
    this.#parts = new Parts(components, init, settings, {
      log: this.#log,
      siblings: () => this.#siblings,
      inquiry: () => this.#inquiry,
      signal: () => this.#run.signal,
      awake: () => this.#awake.signal,
      isAsleep: () => this.#awake.signal.aborted,
      spawn: (task) => this.#spawn(task),
      onJoin: (member) => this.#onJoin(member),
      onLeave: (member, reason) => this.#onLeave(member, reason),
      onSeed: (detail) => this.safeDispatchEvent('seed', { detail }),
      onWarning: (message) => this.#warn(message),
      onQuiet: () => this.#settling.look(),
      fault: (peer, fault, reason) => this.fault(peer, fault, reason),
      heard: (peer) => this.heard(peer),
      dismiss: (id, code, reason, cause) => this.#dismiss(id, code, reason, cause),
      look: () => this.#look(),
      save: () => this.#spawn(this.#parts.keeper.save())
    })
    const list = this.#parts.pin(settings.seeds)
    // It dials each seed once, a second after the start. What it is here for: other libp2p services see seeds as discovered peers.
    this.#bootstrap = list.length === 0 ? undefined : bootstrap({ list })(components)
  }

  get connected(): ReadonlyMap<string, JoinedPeer> {
    return this.#parts.roster.members
  }

  get suspended(): boolean {
    return this.#awake.signal.aborted && !this.#run.signal.aborted
  }

  get [peerDiscoverySymbol](): PeerDiscovery | undefined {
    return this.#bootstrap
  }

  // Lifecycle

  beforeStart(): void {
    this.#unguard = guard(this.#components.connectionGater, this.#parts.door)
  }

  async start(): Promise<void> {
    const { keeper, observer, planner } = this.#parts
    this.#run = fresh()
    this.#awake = fresh()
    this.#siblings = siblings(this.#components)
    const { signal } = this.#run
    await keeper.load()
    // another service may have failed to start meanwhile
    if (signal.aborted) return
    planner.anchor(keeper.anchors)
    observer.open(this.#components.events, this.#siblings.status)
    const chain = this.#siblings.chain?.id ?? this.#init.network
    if (chain != null && this.#init.introductions !== false) {
      this.#inquiry = this.#parts.inquiry(chain)
      this.#unserve.push(await this.#inquiry.serve())
    }
    if (this.#init.servePing === true) {
      const { registrar } = this.#components
      this.#unserve.push(await servePing(registrar, this.#parts.clock, (peer) => this.heard(peer)))
    }
    await start(this.#bootstrap)
  }

  afterStart(): void {
    if (this.#run.signal.aborted) return
    this.#isRunning = true
    this.#tick(this.#parts.clock.now())
  }

  async beforeStop(): Promise<void> {
    this.#isRunning = false
    this.#parts.keeper.note()
    this.#run.abort(new Error('the node stops'))
    this.#awake.abort(new Error('the node stops'))
    this.#cancelTick?.()
    this.#settling.release()
    await stop(this.#bootstrap)
  }

  async stop(): Promise<void> {
    this.#parts.observer.shut()
    for (const unserve of this.#unserve.splice(0)) await unserve()
    const ended = Promise.all(this.#tasks).then(() => this.#parts.keeper.save())
    const late = new AbortController()
    const tooLong = pause(systemClock, LAST_SAVE_MS, late.signal).then(() => {
      if (!late.signal.aborted) this.#warn(`what is known of peers was not written within ${LAST_SAVE_MS / 1000} s`)
    })
    await Promise.race([ended, tooLong])
    late.abort()
  }

  /** The last connections close while services stop, so what is told of them is taken until now. */
  afterStop(): void {
    const { observer, roster, planner, turnover, links } = this.#parts
    observer.close()
    roster.clear('the node stopped')
    for (const part of [planner, turnover, links]) part.clear()
    this.#inquiry = undefined
    this.#unguard?.()
    this.#unguard = undefined
  }

  suspend(): Promise<void> {
    if (!this.#awake.signal.aborted) this.#suspending = this.#suspend()
    return this.#suspending ?? Promise.resolve()
  }

  async #suspend(): Promise<void> {
    const { keeper } = this.#parts
    keeper.note()
    const sleep = this.#awake
    sleep.abort(new Error('suspended'))
    this.#cancelTick?.()
    const { connectionManager } = this.#components
    // one more round for those that were on their way in; resuming meanwhile ends it
    for (let round = 0; round < 2 && this.#awake === sleep; round++) {
      const peers = new Set(connectionManager.getConnections().map(({ remotePeer }) => remotePeer.toString()))
      await Promise.all(
        [...peers].map((id) => this.disconnect(peerIdFromString(id), GOODBYE.shuttingDown, 'suspended'))
      )
    }
    await keeper.save()
  }

  resume(): void {
    if (!this.suspended) return
    const { planner, clock, keeper } = this.#parts
    this.#awake = fresh()
    planner.anchor(keeper.anchors)
    planner.refresh(clock.now())
    if (this.#isRunning) this.#tick(clock.now())
  }

  flush({ signal }: AbortOptions = {}): Promise<void> {
    this.#dial()
    return this.#settling.wait(signal)
  }

  // What others say and ask

  heard(peer: PeerId): void {
    const { heartbeat, clock } = this.#parts
    heartbeat.liveness.heard(peer.toString(), clock.now())
  }

  useful(peer: PeerId): void {
    this.#parts.turnover.useful(peer.toString())
  }

  fault(peer: PeerId, fault: Fault, reason: string): void {
    this.#parts.metrics.charged(fault)
    this.#parts.judge.charge(peer.toString(), fault, reason)
  }

  judge(peer: PeerId, verdict: Verdict, via: Via): void {
    if (verdict.result === 'accept') this.useful(peer)
    if (verdict.result !== 'reject') return
    const detail = verdict.detail == null ? '' : ` (${verdict.detail})`
    this.fault(peer, faultOf(verdict, via), `${verdict.reason}${detail} through ${via}`)
  }

  score(peerId: string): number {
    return this.#parts.score(peerId)
  }

  disconnect(peer: PeerId, code: GoodbyeCode, reason: string): Promise<void> {
    return this.#parts.farewell.disconnect(peer, code, reason)
  }

  bans(): Ban[] {
    return this.#parts.judge.bans.list(this.#parts.clock.now())
  }

  async ban(what: PeerId | string, options?: BanOptions): Promise<void> {
    const { judge, keeper } = this.#parts
    const { reason } = judge.ban(what.toString(), options)
    const hit = this.#components.connectionManager
      .getConnections()
      .filter(
        ({ remotePeer, remoteAddr }) => judge.isBanned(remotePeer.toString()) || judge.objection(remoteAddr) != null
      )
    await Promise.all(hit.map(({ remotePeer }) => this.disconnect(remotePeer, GOODBYE.fault, `banned: ${reason}`)))
    await keeper.save()
  }

  async unban(what: PeerId | string): Promise<boolean> {
    const found = this.#parts.judge.lift(what.toString())
    if (found) await this.#parts.keeper.save()
    return found
  }

  explain(): PeerReport[] {
    return report(this.#parts.report, this.#parts.clock.now())
  }

  // What follows

  #onJoin(member: JoinedPeer): void {
    const { heartbeat, planner, dialler, links, keeper } = this.#parts
    const id = member.peer.toString()
    keeper.joined()
    heartbeat.liveness.add(id, member.since)
    planner.proved(id, member.since)
    links.direct(member.peer)
    dialler.seed(id, 'connected')
    this.safeDispatchEvent('join', { detail: member })
    this.#inquiry?.joined(member)
    this.#settling.look()
  }

  #onLeave({ peer }: JoinedPeer, reason: string): void {
    const id = peer.toString()
    this.#parts.heartbeat.liveness.remove(id)
    this.#parts.turnover.left(id)
    this.#inquiry?.left(id)
    this.safeDispatchEvent('leave', { detail: { peer, reason } })
    this.#settling.look()
  }

  // What we do

  /** Looks at everything, now and every second. How late it is says how late our event loop is. */
  #tick(due: number): void {
    if (this.#awake.signal.aborted) return
    const { clock, heartbeat, links, turnover, keeper } = this.#parts
    const now = clock.now()
    heartbeat.liveness.lag(now - due, now)
    this.#cancelTick = clock.after(TICK_MS, () => this.#tick(now + TICK_MS))
    links.sweep()
    for (const beat of heartbeat.beat(this.#run.signal)) this.#spawn(beat)
    this.#inquiry?.look()
    turnover.look()
    this.#dial()
    this.#spawn(keeper.look())
  }

  /** Dials what is to be dialled, when those who are speaking have finished. */
  #look(): void {
    if (this.#lookSoon) return
    this.#lookSoon = true
    queueMicrotask(() => {
      this.#lookSoon = false
      this.#dial()
      this.#settling.look()
    })
  }

  #dial(): void {
    if (!this.#isRunning || this.#awake.signal.aborted) return
    const { planner, dialler } = this.#parts
    for (const id of this.#planned()) {
      this.#spawn(dialler.dial(id, this.#awake.signal).then(() => this.#look()))
    }
    if (planner.dialling.size === 0) this.#settling.look()
  }

  #planned(): string[] {
    const { planner, clock } = this.#parts
    return planner.plan(clock.now(), (id) => this.#parts.isWelcome(id))
  }

  /** Everyone known and due has been tried, who answered has joined or gone, and nobody is being asked for others. */
  #isSettled(): boolean {
    if (!this.#isRunning || this.#awake.signal.aborted) return true
    const { planner, roster } = this.#parts
    if (planner.dialling.size > 0 || this.#inquiry?.isQuiet === false) return false
    return [...planner.linked].every((id) => roster.members.has(id)) && this.#planned().length === 0
  }

  #warn(message: string): void {
    this.#log.error('%s', message)
    this.safeDispatchEvent('warning', { detail: { message } })
  }

  #dismiss(id: string, code: GoodbyeCode, reason: string, cause: PartingCause): void {
    this.#parts.metrics.parted(cause)
    this.#spawn(this.disconnect(peerIdFromString(id), code, reason))
  }

  #spawn(task: Promise<unknown>): void {
    const settled = task
      .catch((err: unknown) => this.#log.error('%s', textOf(err)))
      .finally(() => this.#tasks.delete(settled))
    this.#tasks.add(settled)
  }
}

/** One that many may listen to. */
function fresh(): AbortController {
  const controller = new AbortController()
  setMaxListeners(Number.POSITIVE_INFINITY, controller.signal)
  return controller
}
