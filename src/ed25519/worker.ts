import { parentPort } from 'node:worker_threads'
import { unpackChunk } from './chunk.js'
import { ed25519 } from './ed25519.js'

parentPort?.on('message', (chunk: Uint8Array) => {
  const answers = unpackChunk(chunk).map((each) => ed25519.verify(each.signature, each.message, each.publicKey))
  parentPort?.postMessage(Uint8Array.from(answers, Number))
})
