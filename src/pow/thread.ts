import { Worker } from 'node:worker_threads'
import type { Board, Job, Outcome } from './job.js'

/** A thread that runs jobs one after another. It keeps the process alive only between `hold(true)` and `hold(false)`. */
export interface Thread {
  post(job: Job): void
  hold(process: boolean): void
  /** Ends the thread, whatever it does. */
  stop(): Promise<void>
}

export interface ThreadEvents {
  outcome(outcome: Outcome): void
  /** The thread is gone; it was not stopped by us. */
  lost(error: Error): void
}

/** Starts a thread, some 30 ms. In browsers `thread.browser.ts` stands in for this file. */
export function startThread(board: Board, thread: number, on: ThreadEvents): Thread {
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: { memory: board.memory, thread },
    name: `blockwire-miner-${thread}`,
    execArgv: []
  })
  let stopped = false
  let error: Error | undefined
  worker.on('message', (outcome: Outcome) => on.outcome(outcome))
  worker.on('error', (err) => {
    error = err instanceof Error ? err : new Error(String(err))
  })
  worker.on('exit', (code) => {
    if (!stopped) on.lost(error ?? new Error(`mining thread ${thread} ended with code ${code}`))
  })
  worker.unref()
  return {
    post: (job) => worker.postMessage(job),
    hold: (process) => (process ? worker.ref() : worker.unref()),
    async stop() {
      stopped = true
      await worker.terminate()
    }
  }
}
