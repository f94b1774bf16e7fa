import type { NodeEvent } from './event.js'

/** A seed that is not connected. */
export interface AbsentSeed {
  address: string
  /** It could not be reached, or a connection to it was lost. Undefined: neither yet. */
  trouble: 'failed' | 'waiting' | undefined
  /** Why. */
  error: string
  dialling: boolean
  /** Time until the next attempt, in ms, where one is to come. */
  nextMs: number | undefined
}

/** Watches the states of the seeds: which change is news, and which seeds are not there. Pure: it is told the time. */
export class SeedWatch {
  /** By address, in the order in which they were first heard of. */
  readonly #absent = new Map<string, Omit<AbsentSeed, 'nextMs'> & { nextAt: number | undefined }>()

  /** Notes a change. Is it news? The first failure is, another reason, a loss, and that it is over; a further attempt is none. */
  note({ address, state, error = '', nextMs }: Extract<NodeEvent, { event: 'seed' }>, now: number): boolean {
    const before = this.#absent.get(address)
    if (state === 'connected') {
      this.#absent.delete(address)
      return before?.trouble != null
    }
    if (state === 'dialling') {
      const { trouble, error = '' } = before ?? {}
      this.#absent.set(address, { address, trouble, error, dialling: true, nextAt: undefined })
      return false
    }
    const nextAt = nextMs == null ? undefined : now + nextMs
    this.#absent.set(address, { address, trouble: state, error, dialling: false, nextAt })
    return before?.trouble !== state || before.error !== error
  }

  absent(now: number): AbsentSeed[] {
    return [...this.#absent.values()].map(({ nextAt, ...seed }) => ({
      ...seed,
      nextMs: nextAt == null || nextAt <= now ? undefined : nextAt - now
    }))
  }
}
