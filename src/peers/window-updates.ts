const FRAME_BYTES = 12
const WINDOW_UPDATE = 1
const RESET = 8
/** Well below the 256 KiB with which every window of yamux begins, so that whoever sends is never left without. */
const HOLD_BYTES = 98_304
/** With so many remembered, those that are gone are looked for. */
const MANY = 256

/**
 * Holds yamux's small window updates back until they are worth sending, as other implementations do: this one sends one for each frame of
 * data, which costs both ends a packet, a third of what a client of a sync writes and reads calls of the system for. Pure.
 */
export class WindowUpdates {
  /** Bytes by stream. */
  readonly #held = new Map<number, number>()

  /** `streams`: IDs of those that are open. */
  constructor(private readonly streams: () => Iterable<string>) {}

  /** What is to be sent now of a frame that yamux sends, if anything. */
  pass<Data extends { byteLength: number }>(frame: Data): Data | Uint8Array | undefined {
    if (!(frame instanceof Uint8Array) || frame.byteLength !== FRAME_BYTES || frame[1] !== WINDOW_UPDATE) return frame
    const view = new DataView(frame.buffer, frame.byteOffset, FRAME_BYTES)
    const flags = view.getUint16(2)
    const stream = view.getUint32(4)
    if (flags !== 0) {
      if ((flags & RESET) !== 0) this.#held.delete(stream)
      return frame
    }
    const bytes = (this.#held.get(stream) ?? 0) + view.getUint32(8)
    if (bytes < HOLD_BYTES) {
      this.#held.set(stream, bytes)
      this.#forget()
      return undefined
    }
    this.#held.delete(stream)
    const whole = frame.slice()
    new DataView(whole.buffer).setUint32(8, bytes)
    return whole
  }

  #forget(): void {
    if (this.#held.size < MANY) return
    const open = new Set([...this.streams()].map(Number))
    for (const stream of this.#held.keys()) if (!open.has(stream)) this.#held.delete(stream)
  }
}
