/** Time as every room sees it, so that tests can turn the clock by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Runs `task` once after `ms`; the returned function cancels it and may be called at any time. */
  after(ms: number, task: () => void): () => void
}

/** The machine's clock. Its timers do not keep a process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms)
    if (typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  }
}

/**
 * A clock that does not go back when the machine's is set back: from there it goes on as fast as that. For waits and ages, which would
 * otherwise not end before the old time is reached again; not for what is compared with the times of others.
 */
export function steady(clock: Clock): Clock {
  let last = Number.NEGATIVE_INFINITY
  let ahead = 0
  return {
    now() {
      const now = clock.now()
      if (now + ahead < last) ahead = last - now
      last = now + ahead
      return last
    },
    after: (ms, task) => clock.after(ms, task)
  }
}

/** Resolves after `ms` on that clock, or at once when the signal aborts. Leaves neither timer nor listener. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(ms, done)
    signal.addEventListener('abort', done)
  })
}

/** Lets the event loop go round once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve)
    else setTimeout(resolve, 0)
  })
}
