// Both sides of a measurement, whatever carries the transactions: who sends keeps so many on their way that nobody waits, and no more.
import { asked, spent, tell } from '../child.mjs'

/** How often the receiver looks at what has come, in ms. */
const LOOK_MS = 2

/**
 * @typedef {object} Config
 * @property {number} warm Transactions that are sent before those that count, so that no compiler is measured.
 * @property {number} count
 * @property {number} window Transactions that may be on their way.
 * @property {number} step Transactions that are handed over at once.
 */

/**
 * Sends all, and says what it has cost.
 *
 * @param {Config} config
 * @param {(from: number, to: number) => Promise<unknown>} send
 */
export async function sending({ warm, count, window, step }, send) {
  let arrived = 0
  let wake = () => {}
  process.on('message', (/** @type {any} */ message) => {
    if (message.arrived == null) return
    arrived = message.arrived
    wake()
  })
  const until = async (/** @type {number} */ wanted) => {
    while (arrived < wanted) {
      await new Promise((resolve) => {
        wake = () => resolve(undefined)
      })
    }
  }
  let begin = process.cpuUsage()
  for (let sent = 0; sent < warm + count; ) {
    const to = Math.min(sent + step, sent < warm ? warm : warm + count)
    await until(to - window)
    await send(sent, to)
    sent = to
    if (sent !== warm) continue
    await until(warm)
    begin = process.cpuUsage()
    await tell({ warmed: true })
  }
  await until(warm + count)
  await tell(spent(begin))
}

/**
 * Tells the parent how many have come, and at the end what it has cost and how long it took from the end of the warm-up on.
 *
 * @param {Config} config
 * @param {() => number} arrived
 */
export async function receiving({ warm, count, window }, arrived) {
  let told = 0
  let begin = process.cpuUsage()
  let from = performance.now()
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const now = arrived()
      if (told < warm && now >= warm) {
        begin = process.cpuUsage()
        from = performance.now()
      }
      const done = now >= warm + count
      if (now - told >= window / 16 || (told < warm && now >= warm) || done) {
        told = now
        void tell({ arrived: now })
      }
      if (!done) return
      clearInterval(timer)
      resolve(undefined)
    }, LOOK_MS)
  })
  await tell({ seconds: (performance.now() - from) / 1_000, ...spent(begin) })
}

/** Until the parent lets go. @param {() => unknown} stop */
export async function ended(stop) {
  await asked()
  await stop()
}
