import type { Journal, JournalRecord } from './journal.js'

interface Changes {
  put: JournalRecord[]
  del: Uint8Array[]
}

/** What is to be saved, taken once. */
export interface Unsaved {
  changes(): Changes
  /** They could not be written. */
  again(changes: Changes): void
}

/** Writes to the journal one batch at a time: what is asked for while one is written goes into the next, for one sync of the disk. */
export class Saving {
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(
    private readonly journal: Journal,
    private readonly unsaved: Unsaved
  ) {}

  /** Resolves when all that is unsaved now is on disk; rejects with what the database threw. */
  save(): Promise<void> {
    if (this.#running == null) {
      this.#running = this.#write().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.save()
      })
    return this.#next
  }

  async #write(): Promise<void> {
    const changes = this.unsaved.changes()
    if (changes.put.length === 0 && changes.del.length === 0) return
    try {
      await this.journal.write(changes.put, changes.del)
    } catch (err) {
      this.unsaved.again(changes)
      throw err
    }
  }
}
