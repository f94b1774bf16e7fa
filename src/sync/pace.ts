/** What was measured longer ago counts little, in ms of being asked. */
const MEMORY_MS = 3_000

/** How fast a peer sends, on average over the time in which it is asked for something. Pure: it is told the time. */
export class Pace {
  #bytes = 0
  #ms = 0
  #asked = 0
  /** Until when its time is counted. */
  #countedAt = 0
  /** When it sent something last, or began to be asked. */
  #heardAt = Number.NEGATIVE_INFINITY

  /** It is asked for something. To be called once for each `end`. */
  begin(now: number): void {
    if (this.#asked++ === 0) this.#countedAt = this.#heardAt = now
  }

  /** It sent so much. */
  heard(bytes: number, now: number): void {
    this.#count(bytes, now)
    this.#heardAt = now
  }

  end(now: number): void {
    if (this.#asked === 0) return
    this.#count(0, now)
    this.#asked--
  }

  /** 0 until it sent anything. */
  get bytesPerSecond(): number {
    return (this.#bytes * 1_000) / Math.max(1, this.#ms)
  }

  /** How long it has been asked and sent nothing. */
  silentMs(now: number): number {
    return now - this.#heardAt
  }

  #count(bytes: number, now: number): void {
    // the machine's clock may have been set back
    const ms = Math.max(0, now - this.#countedAt)
    const kept = Math.exp(-ms / MEMORY_MS)
    this.#bytes = this.#bytes * kept + bytes
    this.#ms = this.#ms * kept + ms
    this.#countedAt = now
  }
}
