/** How much may wait for a verdict at once. */
export interface PendingLimits {
  messages: number
  bytes: number
  messagesPerPeer: number
  bytesPerPeer: number
}

/** Per topic. A block is at most 16 MiB, and 16 MiB of one peer may be held as orphans: 32 MiB leaves room for one more. */
export const PENDING_LIMITS: PendingLimits = {
  messages: 1_024,
  bytes: 96 * 1_048_576,
  messagesPerPeer: 256,
  bytesPerPeer: 32 * 1_048_576
}

interface Share {
  messages: number
  bytes: number
}

/** Counts what waits for a verdict, per peer and in total. Pure; whoever admits must release. */
export class Pending {
  readonly #total: Share = { messages: 0, bytes: 0 }
  readonly #peers = new Map<string, Share>()

  constructor(private readonly limits: PendingLimits = PENDING_LIMITS) {}

  get messages(): number {
    return this.#total.messages
  }

  get bytes(): number {
    return this.#total.bytes
  }

  /** False, and nothing is counted, when the peer's share or the whole is full. */
  admit(peer: string, bytes: number): boolean {
    const { limits } = this
    const share = this.#peers.get(peer) ?? { messages: 0, bytes: 0 }
    if (share.messages >= limits.messagesPerPeer || share.bytes + bytes > limits.bytesPerPeer) return false
    if (this.#total.messages >= limits.messages || this.#total.bytes + bytes > limits.bytes) return false
    this.#peers.set(peer, share)
    for (const sum of [share, this.#total]) {
      sum.messages++
      sum.bytes += bytes
    }
    return true
  }

  release(peer: string, bytes: number): void {
    const share = this.#peers.get(peer)
    if (share == null) return
    for (const sum of [share, this.#total]) {
      sum.messages--
      sum.bytes -= bytes
    }
    if (share.messages === 0) this.#peers.delete(peer)
  }
}
