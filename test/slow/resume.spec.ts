import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createNode, type Node } from 'blockwire'
import { toHex } from 'blockwire/chain'
import { growChain, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { IMPORT_BLOCKS, MAX_HEADERS } from '../../dist/src/sync/limit.js'
import { dice } from '../helpers/dice.js'
import { Program, temporaryDirectory } from '../helpers/process.js'

const PROGRAM = fileURLToPath(new URL('../helpers/resume-program.mjs', import.meta.url))
const BLOCKS = 8_000
const KILLS = 50
/** Each has a directory of its own, and they run beside each other. */
const LANES = 2
let server: Node<TestHeader, TestTx>

beforeAll(async () => {
  server = await createNode({ rules: testRules({ network: 'resume' }) })
  // the state of each block is checked: one transaction each, which the process writes down
  for (let at = 0; at < BLOCKS; at += 1_000) {
    await growChain(server.chain, 1_000, { txs: [{ kind: 'set', key: 'k', value: 'x'.repeat(100), salt: at }] })
  }
})
afterEach(() => Program.killAll())
afterAll(() => server.stop())

interface Run {
  openedAt: number
  /** Heights of the blocks that it verified. */
  verified: number[]
}

/** What the processes of one directory did, one after the other. */
async function runsIn(log: string): Promise<Run[]> {
  const bytes = await readFile(log)
  const runs: Run[] = []
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const height = bytes.readUInt32LE(at)
    if (height > 0) runs.at(-1)!.verified.push(height)
    else {
      at += 4
      runs.push({ openedAt: bytes.readUInt32LE(at), verified: [] })
    }
  }
  return runs
}

/** No block that was written is verified again, and of those that were verified and not written there is at most one batch. */
function expectNothingTwice(runs: Run[]): void {
  let top = 0
  for (const { openedAt, verified } of runs) {
    expect(top - openedAt, `verified up to #${top}, and opened at #${openedAt}`).toBeLessThanOrEqual(IMPORT_BLOCKS)
    if (verified.length === 0) continue
    expect(verified[0], `the first that is verified after opening at #${openedAt}`).toBe(openedAt + 1)
    expect(verified.every((height, i) => height === openedAt + 1 + i)).toBe(true)
    top = verified.at(-1)!
  }
}

/** Moments of the work, not of the time: a loaded machine must not make all of them the same. */
function moment(random: () => number): { at: 'headers' | 'blocks'; count: number; ms: number } {
  const ms = random() < 0.5 ? 0 : Math.floor(random() * 30)
  if (random() < 0.1) return { at: 'headers', count: 1 + Math.floor(random() * 3), ms }
  return { at: 'blocks', count: 1 + Math.floor(random() * 3_000), ms }
}

/** Has processes killed that go on with each other's work, `times` times; when one comes to the end, a new directory is begun. */
async function lane(
  times: number,
  random: () => number
): Promise<{ killed: number; resumed: number; verified: number }> {
  const count = { killed: 0, resumed: 0, verified: 0 }
  let directory = await temporaryDirectory()
  const run = async (die?: ReturnType<typeof moment>): Promise<Program> => {
    const { path } = directory
    const what = { data: join(path, 'data'), log: join(path, 'log'), seed: server.multiaddrs[0], upTo: BLOCKS, die }
    const program = new Program(PROGRAM, [JSON.stringify(what)])
    const closed = once(program.child, 'close')
    await program.until('its end', () => program.code !== undefined, 60_000)
    const [code, signal] = await closed
    expect(signal ?? code, program.tail()).toBe(code === 0 ? 0 : 'SIGKILL')
    const opened = program.events.find(({ event }) => event === 'open')
    expect(opened?.repaired, program.tail()).toEqual([])
    const again = program.events.filter(({ event }) => event === 'headers').map((event) => Number(event.again))
    expect(
      again.reduce((sum, n) => sum + n, 0),
      'headers that it had'
    ).toBeLessThanOrEqual(MAX_HEADERS)
    return program
  }
  const finish = async (program: Program): Promise<void> => {
    expect(program.events.at(-1)).toEqual({ event: 'synced', hash: toHex(server.chain.head.hash) })
    const runs = await runsIn(join(directory.path, 'log'))
    expectNothingTwice(runs)
    expect(runs.at(-1)!.verified.at(-1) ?? runs.at(-1)!.openedAt).toBe(BLOCKS)
    count.resumed += runs.filter(({ openedAt }) => openedAt > 0 && openedAt < BLOCKS).length
    for (const { verified } of runs) count.verified += verified.length
    await directory.remove()
  }
  try {
    while (count.killed < times) {
      const program = await run(moment(random))
      if (program.code == null) count.killed++
      else {
        await finish(program)
        directory = await temporaryDirectory()
      }
    }
    await finish(await run())
  } finally {
    await directory.remove()
  }
  return count
}

describe('a syncing process that is killed with SIGKILL', () => {
  it(`at ${KILLS} random moments always resumes, verifies no more than a batch again, and ends on the same head`, async () => {
    const lanes = Array.from({ length: LANES }, (_, i) => lane(KILLS / LANES, dice(i + 1)))
    const counts = await Promise.all(lanes)
    console.log(`killed ${KILLS} times: ${JSON.stringify(counts)}`)
    // most of the moments were in the middle of it, or nothing was shown
    expect(counts.reduce((sum, { resumed }) => sum + resumed, 0)).toBeGreaterThan(KILLS / 4)
  })
})
