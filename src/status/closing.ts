import type { Connection } from '@libp2p/interface'
import type { Clock } from '../clock.js'

/** Closes connections, and cuts those that are not closed after `ms`. Does not wait for it, and never throws. */
export function closeAll(connections: Connection[], ms: number, clock: Clock): void {
  for (const connection of connections) {
    if (connection.status !== 'open') continue
    const giveUp = new AbortController()
    const cancel = clock.after(ms, () => giveUp.abort())
    connection
      .close({ signal: giveUp.signal })
      .catch((err: unknown) => connection.abort(err instanceof Error ? err : new Error('could not be closed')))
      .finally(cancel)
  }
}

/** Resolves when `promise` has settled, but no later than after `ms`. */
export function within(ms: number, clock: Clock, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve)
    const settled = (): void => {
      cancel()
      resolve()
    }
    promise.then(settled, settled)
  })
}
