import type { Connection } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { StreamLostError, TruncatedError } from '../errors.js'
import { type AnswerLimits, AnswerReader, largestFrame } from './answer.js'
import { framed } from './framed.js'
import { limitsFor, type Settled } from './limits.js'
import { openStream } from './open-stream.js'
import type { Answer } from './protocol.js'

/** See `Protocol.request`. */
export class PendingAnswer<Req, Item> implements Answer<Item> {
  readonly #limits: AnswerLimits
  readonly #reader: AnswerReader<Item>
  #started = false

  constructor(
    private readonly definition: Settled<Req, Item>,
    private readonly connection: Connection,
    private readonly id: string,
    private readonly asked: Req,
    private readonly signal: AbortSignal | undefined
  ) {
    this.#limits = limitsFor(definition, asked)
    this.#reader = new AnswerReader((bytes) => definition.item.decode(bytes), this.#limits)
  }

  get more(): boolean {
    return this.#reader.more
  }

  get count(): number {
    return this.#reader.count
  }

  [Symbol.asyncIterator](): AsyncGenerator<Item[], void, undefined> {
    if (this.#started) throw new TypeError('an answer can be iterated once')
    this.#started = true
    return this.#run()
  }

  async *#run(): AsyncGenerator<Item[], void, undefined> {
    const { limits, clock, request } = this.definition
    const bytes = request.encode(this.asked)
    if (bytes.byteLength > limits.requestBytes) {
      throw new RangeError(`own request of ${bytes.byteLength} bytes, the limit is ${limits.requestBytes}`)
    }
    const stream = await openStream(this.connection, this.id, limits.firstMs, clock, this.signal)
    const wire = framed(stream, {
      maxFrame: largestFrame(this.#limits.itemBytes),
      firstMs: limits.firstMs,
      nextMs: limits.nextMs,
      totalMs: limits.totalMs,
      stallMs: limits.nextMs,
      signal: this.signal,
      clock
    })
    const reader = this.#reader
    try {
      yield* pipe([bytes], wire, async function* (frames) {
        for await (const frame of frames) {
          const items = reader.push(frame)
          if (reader.done) wire.last()
          else yield items
        }
        if (!reader.done) throw new TruncatedError(`the stream ended after ${reader.count} items, without an end`)
      })
    } finally {
      wire.abort(new StreamLostError('the answer is not wanted any more'))
    }
  }
}
