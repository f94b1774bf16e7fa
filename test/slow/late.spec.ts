import { createNode } from 'blockwire'
import { coin, draftHeader, ed25519, mineHeader } from 'blockwire/pow'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { arrivalOf, Program, temporaryDirectory } from '../helpers/process.js'

const BLOCKS = 1_000
const BLOCK_MS = 200
const BLOCK_TIME = ['--block-time', String(BLOCK_MS / 1000)]
let data: Awaited<ReturnType<typeof temporaryDirectory>>

/** Builds the chain as if it had been mined until now at the pace that it is meant for, so that it stays easy. */
beforeAll(async () => {
  data = await temporaryDirectory()
  const rules = coin({ network: 'hello', blockTime: BLOCK_MS })
  const node = await createNode({ rules, dataDir: data.path, libp2p: { start: false } })
  const { publicKey } = ed25519.generate()
  const start = Date.now() - BLOCKS * BLOCK_MS
  try {
    for (let height = 1; height <= BLOCKS; height++) {
      await node.chain.propose({
        prefix: () => [{ kind: 'reward', height, to: publicKey, name: 'builder', extraNonce: 0 }],
        seal: (draft) => ({ header: mineHeader(draftHeader(rules, draft, start + height * BLOCK_MS)) })
      })
    }
    expect(node.chain.head.height).toBe(BLOCKS)
  } finally {
    await node.stop()
  }
}, 120_000)

afterEach(() => Program.killAll())
afterAll(() => data.remove())

describe(`a process that comes when there are ${BLOCKS} blocks`, () => {
  it('has them all 5 s after it listens, while the server is idle', async () => {
    const server = Program.node('--data', data.path, ...BLOCK_TIME)
    const late = Program.node('--seed', await server.address(), ...BLOCK_TIME)
    const took = await timeTo(late, BLOCKS)
    console.log(`late process: ${BLOCKS} blocks ${took} ms after listening`)
    expect(took, late.tail()).toBeLessThanOrEqual(5_000)
  })

  it('has them while others mine, and follows', async () => {
    const server = Program.node('--data', data.path, '--mine', '--threads', '1', ...BLOCK_TIME)
    const address = await server.address()
    const other = Program.node('--seed', address, '--mine', '--threads', '1', ...BLOCK_TIME)
    await other.event('mined', undefined, 60_000)
    const late = Program.node('--seed', address, ...BLOCK_TIME)
    const took = await timeTo(late, BLOCKS)
    console.log(`late process: ${BLOCKS} blocks ${took} ms after listening, while two mine`)

    const { height } = server
    await late.event('head', (event) => Number(event.height) >= height, 60_000)
    server.stopMining()
    other.stopMining()
    await late.until('the head of the two miners', () => late.head === server.head && late.head === other.head, 30_000)
  })
})

async function timeTo(late: Program, height: number): Promise<number> {
  const listening = await late.event('listening')
  const head = await late.event('head', (event) => Number(event.height) >= height, 120_000)
  return arrivalOf(head) - arrivalOf(listening)
}
