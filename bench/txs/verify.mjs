// The limit of signed transactions: every core verifies them in a loop, with Node's crypto and nothing else.
import { createPublicKey, verify } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { role, spent, tell } from '../child.mjs'
import { SENDERS, TX_BYTES, transactions } from './chain.mjs'

const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const GENESIS = new Uint8Array(32)

if (isMainThread) {
  const { config } = role()
  const txs = transactions('signed', GENESIS, config.warm)
  const threads = Array.from(
    { length: availableParallelism() },
    () => new Worker(new URL(import.meta.url), { workerData: { txs } })
  )
  await Promise.all(threads.map((thread) => new Promise((resolve) => thread.once('message', resolve))))
  const begin = process.cpuUsage()
  const from = performance.now()
  const share = Math.ceil(config.count / threads.length)
  await Promise.all(
    threads.map((thread) => {
      thread.postMessage(share)
      return new Promise((resolve) => thread.once('message', resolve))
    })
  )
  await tell({
    seconds: ((performance.now() - from) / 1_000) * (config.count / (share * threads.length)),
    ...spent(begin)
  })
  await Promise.all(threads.map((thread) => thread.terminate()))
} else {
  const { txs } = workerData
  const message = new Uint8Array(GENESIS.length + TX_BYTES - 64)
  message.set(GENESIS)
  const keys = txs
    .slice(0, SENDERS)
    .map((/** @type {Uint8Array} */ tx) =>
      createPublicKey({ key: Buffer.concat([SPKI, tx.subarray(0, 32)]), format: 'der', type: 'spki' })
    )
  /** @param {number} count */
  const loop = (count) => {
    for (let i = 0; i < count; i++) {
      const n = i % txs.length
      const tx = txs[n]
      message.set(tx.subarray(0, TX_BYTES - 64), GENESIS.length)
      if (!verify(null, message, keys[n % SENDERS], tx.subarray(TX_BYTES - 64))) throw new Error('a wrong signature')
    }
  }
  loop(txs.length)
  parentPort?.on('message', (count) => {
    loop(count)
    parentPort?.postMessage('done')
  })
  parentPort?.postMessage('warm')
}
