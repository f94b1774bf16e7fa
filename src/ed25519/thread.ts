import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** A thread that verifies chunks, one after another. It keeps the process alive only between `hold(true)` and `hold(false)`. */
export interface Thread {
  /** A packed chunk; it is gone here afterwards. */
  post(chunk: Uint8Array<ArrayBuffer>): void
  hold(process: boolean): void
  stop(): void
}

export interface ThreadEvents {
  /** One byte for each signature of the chunk: 1 is a good one. */
  done(answers: Uint8Array): void
  /** The thread is gone, and was not stopped by us. */
  lost(): void
}

/** One for each core that this process may use. */
export const THREADS = Math.min(16, availableParallelism())

/** @throws what Node throws where there are no threads to be had */
export function startThread(on: ThreadEvents): Thread {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { name: 'blockwire-verifier', execArgv: [] })
  let stopped = false
  worker.on('message', (answers: Uint8Array) => on.done(answers))
  // told by its exit
  worker.on('error', () => {})
  worker.on('exit', () => {
    if (!stopped) on.lost()
  })
  worker.unref()
  return {
    post: (chunk) => worker.postMessage(chunk, [chunk.buffer]),
    hold: (process) => (process ? worker.ref() : worker.unref()),
    stop() {
      stopped = true
      void worker.terminate()
    }
  }
}
