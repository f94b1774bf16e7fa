/** Wakes those who wait for a change. They look whether it is the one they need, and wait again if not. */
export class Bell {
  #ring: (() => void) | undefined
  #next: Promise<void> | undefined

  ring(): void {
    this.#ring?.()
    this.#ring = this.#next = undefined
  }

  /** Resolves at the next ring. */
  wait(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      this.#ring = resolve
    })
    return this.#next
  }
}
