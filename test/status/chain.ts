import type { StatusChain } from 'blockwire/status'

/** As much of a chain as the status service sees. */
export class FakeChain extends EventTarget implements StatusChain {
  network = 'hello'
  params: Record<string, string | number> = { blockTime: 10_000, reward: '50' }
  genesis = { hash: new Uint8Array(32).fill(9) }
  forks: number[] = []
  head = { hash: new Uint8Array(32).fill(1), height: 100, work: 1_000n }

  constructor(more: Partial<StatusChain> = {}) {
    super()
    Object.assign(this, more)
  }

  /** Another head. */
  grow(blocks = 1): void {
    const { hash, height, work } = this.head
    const next = Uint8Array.from(hash)
    new DataView(next.buffer).setUint32(0, height + blocks)
    this.head = { hash: next, height: height + blocks, work: work + 10n * BigInt(blocks) }
    this.dispatchEvent(new Event('head'))
  }
}
