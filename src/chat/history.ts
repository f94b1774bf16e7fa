/** What a place in the order of a room depends on. */
interface Placed {
  clock: number
  sender: string
  /** No two messages have the same. */
  id: string
}

/** By logical time, then sender: the same for all, whatever came first where. */
function compare(a: Placed, b: Placed): number {
  if (a.clock !== b.clock) return a.clock - b.clock
  if (a.sender !== b.sender) return a.sender < b.sender ? -1 : 1
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/** The last messages of a room in their order. Pure. */
export class History<T extends Placed> {
  readonly #messages: T[] = []

  constructor(private readonly size: number) {}

  /** Oldest first. */
  get messages(): T[] {
    return [...this.#messages]
  }

  /** False when it is there already, or older than all of a full history. */
  add(message: T): boolean {
    let at = this.#messages.length
    while (at > 0 && compare(this.#messages[at - 1]!, message) > 0) at--
    if (this.#messages[at - 1]?.id === message.id) return false
    if (at === 0 && this.#messages.length >= this.size) return false
    this.#messages.splice(at, 0, message)
    if (this.#messages.length > this.size) this.#messages.shift()
    return true
  }
}
