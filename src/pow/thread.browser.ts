import { ConfigError } from '../errors.js'
import type { Board } from './job.js'
import type { Thread, ThreadEvents } from './thread.js'

/** Browsers verify, but do not mine. */
export function startThread(_board: Board, _thread: number, _on: ThreadEvents): Thread {
  throw new ConfigError('miner', "needs Node's worker threads", { fix: 'mine on Node, or seal with mineHeader()' })
}
