import { type GossipsubMessage, gossipsub } from '@libp2p/gossipsub'
import {
  type Connection,
  type Logger,
  type Startable,
  serviceCapabilities,
  serviceDependencies
} from '@libp2p/interface'
import { ignore, type Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import { ConfigError, RefusedError } from '../errors.js'
import { Answers } from './answers.js'
import { Intake } from './intake.js'
import { gossipsubOptions } from './options.js'
import { Pacer } from './pacing.js'
import type { Link } from './patience.js'
import type { Gossip, GossipComponents, GossipInit, GossipLink, GossipPeers } from './port.js'
import { type RawGossipsub, raw } from './raw.js'
import { boundRemembered } from './remembered.js'
import { Repair } from './repair.js'
import { Scoring } from './scoring.js'
import { boundSending } from './sending.js'
import { GossipTopic, type Topic, type TopicHost, type TopicOptions } from './topic.js'

export type { Gossip } from './port.js'

const NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/
/**
 * The node's one gossipsub, with a registry of topics. A message is forwarded when its topic's validator has accepted it. What
 * comes from strangers is judged and never throws. Stopping drops what waits; topics are kept for the next start.
 */
export function gossip(init: GossipInit = {}): (components: GossipComponents) => Gossip {
  return (components) => new GossipService(components, init)
}

class GossipService implements Gossip, Startable, TopicHost {
  readonly [Symbol.toStringTag] = '@blockwire/gossip'
  readonly [serviceCapabilities]: string[] = ['@blockwire/gossip', '@libp2p/pubsub']
  readonly [serviceDependencies]: string[] = ['@libp2p/identify']
  readonly pubsub: RawGossipsub
  readonly clock: Clock
  readonly log: Logger
  readonly #components: GossipComponents
  readonly #topics = new Map<string, GossipTopic>()
  readonly #pacer: Pacer
  readonly #answers: Answers
  readonly #intake: Intake
  readonly #scoring: Scoring
  readonly #repair: Repair
  readonly #passive: boolean
  readonly #maxMessageBytes: number
  #peers: GossipPeers | undefined

  constructor(components: GossipComponents, init: GossipInit) {
    this.#components = components
    this.#passive = init.passive ?? false
    this.clock = init.clock ?? systemClock
    this.log = components.logger.forComponent('blockwire:gossip')
    this.#maxMessageBytes = init.maxMessageBytes ?? Math.max(65_536, components.chain.limits.blockBytes)
    if (!Number.isInteger(this.#maxMessageBytes) || this.#maxMessageBytes < 1) {
      throw new ConfigError('maxMessageBytes', `must be a number of bytes, is ${init.maxMessageBytes}`)
    }
    const preset = init.scoring ?? 'public'
    if (preset !== 'public' && preset !== 'local')
      throw new ConfigError('scoring', `'${String(preset)}' is neither 'public' nor 'local'`)
    this.#scoring = new Scoring({
      preset,
      opinion: (peer) => this.#peers?.score(peer),
      warn: (complaint) => this.log.error('honest peers would be graylisted: %s', complaint)
    })
    this.#pacer = new Pacer({ clock: this.clock, links: () => this.#links() })
    const options = gossipsubOptions({
      given: init.gossipsub ?? {},
      maxMessageBytes: this.#maxMessageBytes,
      preset,
      score: this.#scoring.score,
      filter: (topic, data) => this.#filter(topic, data)
    })
    this.pubsub = raw(gossipsub(options)(components))
    this.#scoring.use(options)
    const maxBufferedBytes = options.maxOutboundBufferSize ?? Number.POSITIVE_INFINITY
    boundSending(this.pubsub, { maxBufferedBytes, takes: (peer, held) => this.#pacer.takes(peer, held) })
    this.#intake = new Intake(this.pubsub, (topic) => (this.#topics.get(topic)?.priority ?? 0) > 0, this.clock)
    boundRemembered(this.pubsub, (topic) => (this.#topics.get(topic)?.priority ?? 0) <= 0)
    this.#answers = new Answers(this.pubsub, {
      clock: this.clock,
      maxBytes: maxBufferedBytes,
      priority: (topic) => this.#topics.get(topic)?.priority ?? 0
    })
    this.#repair = new Repair({
      ...{ clock: this.clock, self: components.peerId, log: this.log, pubsub: this.pubsub },
      connections: (peer) => components.connectionManager.getConnections(peer),
      joined: (peer) => this.#peers?.connected?.has(peer) ?? true,
      identify: () => sibling(components, 'identify')
    })
    this.pubsub.addEventListener('gossipsub:message', this.#onMessage)
    this.pubsub.addEventListener('gossipsub:heartbeat', this.#onHeartbeat)
  }

  async start(): Promise<void> {
    this.#peers = sibling(this.#components, 'peers')
    this.#repair.start(this.#components.events)
    await this.pubsub.start()
  }

  /** Only now: gossipsub refuses subscriptions before its start. */
  afterStart(): void {
    for (const topic of this.#topics.values()) this.#join(topic)
  }

  async stop(): Promise<void> {
    for (const topic of this.#topics.values()) topic.cancel()
    this.#pacer.clear()
    this.#answers.clear()
    this.#intake.clear()
    this.#repair.stop()
    await this.pubsub.stop()
  }

  topic(name: string, options: TopicOptions): Topic {
    if (!NAME.test(name)) throw new ConfigError('name', `a topic's name must match ${NAME.source}, is '${name}'`)
    const full = `/blockwire/${this.#components.chain.id}/${name}/1`
    if (this.#topics.has(full)) throw new ConfigError('name', `there is a topic '${name}' already`)
    if (options.maxBytes > this.#maxMessageBytes) {
      const problem = `${options.maxBytes} is over gossip's maxMessageBytes, ${this.#maxMessageBytes}`
      throw new ConfigError('maxBytes', problem, { fix: 'give gossip() a larger maxMessageBytes, on all nodes' })
    }
    const topic = new GossipTopic(full, options, this)
    this.#scoring.add(this.pubsub, full, topic.expected)
    this.#topics.set(full, topic)
    if (this.pubsub.isStarted()) this.#join(topic)
    return topic
  }

  links(): GossipLink[] {
    const meshes = this.pubsub.getTopics().map((topic) => [topic, new Set(this.pubsub.getMeshPeers(topic))] as const)
    return [...this.#links()].map(({ peer, stream }) => ({
      peer,
      buffered: stream.writeBufferLength,
      mesh: meshes.filter(([, peers]) => peers.has(peer)).map(([topic]) => topic)
    }))
  }

  get warnings(): readonly string[] {
    return this.#scoring.complaints
  }

  subscribers(name: string): string[] {
    return this.pubsub.isStarted() ? this.pubsub.getSubscribers(name).map(String) : []
  }

  async publish(topic: GossipTopic, data: Uint8Array, relayed: boolean): Promise<{ recipients: number }> {
    if (data.byteLength > topic.maxBytes) {
      throw new RefusedError('too-large', `${data.byteLength} bytes on ${topic.name}, at most ${topic.maxBytes}`)
    }
    // gossipsub would remember what it could not send, and refuse it later as a duplicate
    if (!this.#active(topic)) return { recipients: 0 }
    return new Promise((resolve, refuse) => {
      const drop = (why: 'stopped' | 'full'): void => {
        if (why === 'stopped') resolve({ recipients: 0 })
        else refuse(new RefusedError('full', 'something of higher priority took its place'))
      }
      const go = async (): Promise<void> => {
        if (!this.#active(topic)) return drop('stopped')
        try {
          const { recipients } = await this.pubsub.publish(
            topic.name,
            data,
            relayed ? { floodPublish: false } : undefined
          )
          resolve({ recipients: recipients.length })
        } catch (err) {
          refuse(err)
        }
      }
      const turn = { priority: topic.priority, bytes: data.byteLength, go, drop }
      if (!this.#pacer.run(turn)) refuse(new RefusedError('full', 'too much waits to be published'))
    })
  }

  close(topic: GossipTopic): void {
    if (this.#topics.get(topic.name) !== topic) return
    this.#topics.delete(topic.name)
    topic.cancel()
    if (!this.#passive && this.pubsub.isStarted()) this.pubsub.unsubscribe(topic.name)
  }

  #active(topic: GossipTopic): boolean {
    return !this.#passive && this.pubsub.isStarted() && this.#topics.get(topic.name) === topic
  }

  #join(topic: GossipTopic): void {
    if (!this.#passive) this.pubsub.subscribe(topic.name)
  }

  /** A listener that throws ends the process: whatever happens here, it happens to this message only. */
  readonly #onMessage = (event: CustomEvent<GossipsubMessage>): void => {
    const { propagationSource: from, msgId, msg } = event.detail
    const report = (result: Verdict['result']): void =>
      this.pubsub.reportMessageValidationResult(msgId, from.toString(), result)
    try {
      this.#peers?.heard(from)
      const topic = this.#topics.get(msg.topic)
      // subscribed by the app itself: unreported, it would travel one hop only
      if (topic == null) {
        report('accept')
        return
      }
      const message = { data: msg.data, from, topic: msg.topic }
      topic.judge(message, (verdict) => {
        try {
          if (verdict.result === 'accept') this.#forward(topic, msg.data.byteLength, report)
          else report(verdict.result)
          this.#peers?.judge(from, verdict, 'gossip')
          if (verdict.result === 'accept') topic.safeDispatchEvent('message', { detail: message })
        } catch (err) {
          this.log.error('could not report a message of %s - %e', msg.topic, err)
        }
      })
    } catch (err) {
      this.log.error('could not take a message of %s - %e', msg.topic, err)
      report(ignore('error').result)
    }
  }

  #forward(topic: GossipTopic, bytes: number, report: (result: 'accept' | 'ignore') => void): void {
    const turn = { priority: topic.priority, bytes, go: () => report('accept'), drop: () => report('ignore') }
    if (!this.#pacer.run(turn)) report('ignore')
  }

  /** Before anything is kept of it: gossipsub keeps messages of any topic for 30 s, also of those nobody here asked for. */
  #filter(topic: string, data: Uint8Array): Uint8Array {
    // no topic is larger: only what an app subscribed by itself is not judged, and would grow over the limit on its way
    if (data.byteLength > this.#maxMessageBytes && !this.#topics.has(topic)) throw new Error('too large')
    if (this.#topics.has(topic) || this.pubsub.getTopics().includes(topic)) return data
    throw new Error('not a topic of ours')
  }

  /** gossipsub has forgotten what a graylisted peer subscribes to, for ever: it may come back with another connection. */
  readonly #onHeartbeat = (): void => {
    const fallen = this.#scoring.fallen(this.pubsub, this.pubsub.streamsOutbound.keys())
    if (fallen.length === 0) return
    for (const { peer, cut } of this.#links()) if (fallen.includes(peer)) cut('has fallen below the graylist')
  };

  *#links(): Iterable<Link> {
    for (const connection of this.#components.connectionManager.getConnections()) {
      for (const stream of connection.streams) {
        if (stream.direction !== 'outbound' || !stream.protocol.startsWith('/meshsub/')) continue
        yield { peer: connection.remotePeer.toString(), stream, cut: (reason) => this.#cut(connection, reason) }
      }
    }
  }

  #cut(connection: Connection, reason: string): void {
    this.log('cutting %p: its gossip link %s', connection.remotePeer, reason)
    this.#peers?.fault(connection.remotePeer, 'quality', `gossip link ${reason}`)
    connection.abort(new Error(`gossip link ${reason}`))
  }
}

/** A service that the node may have, or undefined (reading it throws then). */
function sibling<K extends 'peers' | 'identify'>(components: GossipComponents, key: K): GossipComponents[K] {
  try {
    return components[key]
  } catch {
    return undefined
  }
}
