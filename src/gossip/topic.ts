import type { Logger, PeerId } from '@libp2p/interface'
import { TypedEventEmitter, type TypedEventTarget } from 'main-event'
import { ACCEPT, ignore, reject, type Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { ConfigError } from '../errors.js'
import { HOLD_MS } from './options.js'
import { PENDING_LIMITS, Pending, type PendingLimits } from './pending.js'

/** A message as it came. */
export interface TopicMessage {
  /** As received; it may be a view of a larger buffer, so copy what you keep. */
  data: Uint8Array
  /** Who handed it to us, not who made it. */
  from: PeerId
  /** Full name. */
  topic: string
}

export interface TopicOptions {
  /** The largest message, in bytes. Larger ones are not published, and refused from others. At most `maxMessageBytes`. */
  maxBytes: number
  /**
   * Decides what becomes of a message: only what is accepted is forwarded and dispatched. A promise holds the message back until it
   * resolves, at most 25 s, then it is ignored and `signal` aborts. At most 1,024 messages and 96 MiB wait at once, 256 and 32 MiB
   * of one peer; what is over is ignored unseen. One that throws counts as ignored.
   *
   * @default every message is accepted
   */
  validate?(message: TopicMessage, options: { signal: AbortSignal }): Verdict | Promise<Verdict>
  /** Messages a second that the whole network is expected to send: gossipsub's score parameters follow from it. @default 1 */
  expected?: number
  /** How much may wait for a verdict, where it is to be less than `validate` says. */
  pending?: Partial<PendingLimits>
  /** When links are full, topics of higher priority are sent first. Blocks have 10, transactions 0. @default 0 */
  priority?: number
}

export interface TopicEvents {
  /** A message of somebody else was accepted. */
  message: CustomEvent<TopicMessage>
}

/** A topic that this node takes part in. */
export interface Topic extends TypedEventTarget<TopicEvents> {
  /** `/blockwire/<chain>/<name>/1` */
  readonly name: string
  /** IDs of connected peers that subscribe to it. */
  readonly peers: string[]
  /**
   * Sends to all peers of the topic, and resolves when it is handed to them; waits while links are full. `data` must not change
   * afterwards. No peer, a node that is not started, a seed, and bytes published before are no error: `recipients` is 0 then.
   *
   * @param options.relayed others send the same bytes: it goes to the mesh only, not to all peers at once. @default false
   * @throws RefusedError `too-large` over `maxBytes`, `full` when more than 64 MiB wait to be sent
   */
  publish(data: Uint8Array, options?: { relayed?: boolean }): Promise<{ recipients: number }>
  /** Leaves the topic; what is being validated is dropped. Its name can be used again. */
  close(): void
}

/** What a topic needs of the service that keeps it. */
export interface TopicHost {
  readonly clock: Clock
  readonly log: Logger
  subscribers(name: string): string[]
  publish(topic: GossipTopic, data: Uint8Array, relayed: boolean): Promise<{ recipients: number }>
  close(topic: GossipTopic): void
}

/** A topic and what of it waits for a verdict. */
export class GossipTopic extends TypedEventEmitter<TopicEvents> implements Topic {
  readonly priority: number
  readonly maxBytes: number
  readonly expected: number
  readonly #validate: TopicOptions['validate']
  readonly #host: TopicHost
  readonly #pending: Pending
  readonly #running = new Set<() => void>()

  constructor(
    readonly name: string,
    options: TopicOptions,
    host: TopicHost
  ) {
    super()
    if (!Number.isInteger(options.maxBytes) || options.maxBytes < 1) {
      throw new ConfigError('maxBytes', `must be a number of bytes, is ${options.maxBytes}`)
    }
    this.maxBytes = options.maxBytes
    this.priority = options.priority ?? 0
    this.expected = options.expected ?? 1
    this.#validate = options.validate
    this.#pending = new Pending({ ...PENDING_LIMITS, ...options.pending })
    this.#host = host
  }

  get peers(): string[] {
    return this.#host.subscribers(this.name)
  }

  /** Messages that wait for a verdict. */
  get pending(): number {
    return this.#pending.messages
  }

  publish(data: Uint8Array, { relayed = false }: { relayed?: boolean } = {}): Promise<{ recipients: number }> {
    return this.#host.publish(this, data, relayed)
  }

  close(): void {
    this.#host.close(this)
  }

  /** Finds the verdict and tells it once, now or within 25 s. Not at all when `cancel` comes first. Never throws. */
  judge(message: TopicMessage, tell: (verdict: Verdict) => void): void {
    const size = message.data.byteLength
    if (size > this.maxBytes) {
      tell(reject('too-large', `${size} bytes, at most ${this.maxBytes}`))
      return
    }
    if (this.#validate == null) {
      tell(ACCEPT)
      return
    }
    const peer = message.from.toString()
    if (!this.#pending.admit(peer, size)) {
      tell(ignore('full'))
      return
    }

    const abort = new AbortController()
    let cancelTimer: () => void = () => {}
    const end = (): boolean => {
      cancelTimer()
      if (!this.#running.delete(cancel)) return false
      this.#pending.release(peer, size)
      return true
    }
    const cancel = (): void => {
      if (end()) abort.abort()
    }
    const settle = (verdict: Verdict): void => {
      if (end()) tell(verdict)
    }
    const failed = (err: unknown): void => {
      this.#host.log.error('the validator of %s failed - %e', this.name, err)
      settle(ignore('error'))
    }
    this.#running.add(cancel)
    try {
      const verdict = this.#validate(message, { signal: abort.signal })
      if (!isPromise(verdict)) {
        settle(verdict)
        return
      }
      cancelTimer = this.#host.clock.after(HOLD_MS, () => {
        settle(ignore('error', `no verdict within ${HOLD_MS} ms`))
        abort.abort()
      })
      verdict.then(settle, failed)
    } catch (err) {
      failed(err)
    }
  }

  /** Drops all that waits for a verdict. */
  cancel(): void {
    for (const cancel of [...this.#running]) cancel()
  }
}

function isPromise(verdict: Verdict | Promise<Verdict>): verdict is Promise<Verdict> {
  return typeof (verdict as { then?: unknown }).then === 'function'
}
