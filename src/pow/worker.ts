import { parentPort, workerData } from 'node:worker_threads'
import { Board, type Job, run } from './job.js'

const { memory, thread } = workerData as { memory: SharedArrayBuffer; thread: number }
const board = new Board(memory)

parentPort?.on('message', (job: Job) => parentPort?.postMessage(run(job, board, thread)))
