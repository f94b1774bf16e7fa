// A thread that hashes 84 bytes twice, nonce after nonce, in the bare loop or with Node's createHash, until it is terminated.
import { createHash } from 'node:crypto'
import { workerData } from 'node:worker_threads'
import { Search } from '../../dist/src/pow/loop.js'

const CHUNK = 1_024
const { how, thread, memory } = workerData
const hashes = new BigUint64Array(memory)
const header = new Uint8Array(84).fill(thread)

/** @type {Record<string, () => (from: number) => unknown>} */
const loops = {
  limit() {
    const search = new Search(header, new Uint8Array(32))
    return (from) => search.run(from, CHUNK)
  },
  createHash() {
    const view = new DataView(header.buffer)
    return (from) => {
      let found = false
      for (let nonce = from; nonce < from + CHUNK; nonce++) {
        view.setUint32(80, nonce)
        const once = createHash('sha256').update(header).digest()
        const twice = createHash('sha256').update(once).digest()
        if (twice.readUInt32BE(0) === 0 && twice.every((byte) => byte === 0)) found = true
      }
      return found
    }
  }
}

const loop = loops[how]()
for (let nonce = 0; ; nonce = (nonce + CHUNK) % 2 ** 32) {
  loop(nonce)
  Atomics.add(hashes, thread, BigInt(CHUNK))
}
