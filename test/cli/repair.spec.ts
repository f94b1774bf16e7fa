import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildHistory, flipLast } from '../helpers/damage.js'
import { Program, temporaryDirectory } from '../helpers/process.js'

const BLOCKS = 12
const BLOCK_TIME = ['--block-time', '0.1']
let whole: Awaited<ReturnType<typeof temporaryDirectory>>
let data: Awaited<ReturnType<typeof temporaryDirectory>>

beforeAll(async () => {
  whole = await temporaryDirectory()
  await buildHistory(whole.path, BLOCKS, 100)
})
afterAll(() => whole.remove())

afterEach(async () => {
  await Program.killAll()
  await data.remove()
})

/** A copy of the directory with one byte changed, and a node on the whole one. */
async function damaged(table: 'b' | 'h' | 'u'): Promise<Program> {
  data = await temporaryDirectory()
  await cp(whole.path, data.path, { recursive: true })
  // its own identity: they are to meet
  await Promise.all(['identity.key', 'reward.key'].map((name) => rm(join(data.path, name), { force: true })))
  expect(await flipLast(data.path, table)).toBe(BLOCKS)
  return Program.node('--data', whole.path, ...BLOCK_TIME)
}

describe('a node whose directory was damaged', () => {
  it.each([
    ['body', 'b', BLOCKS - 1, 'block 12 has a damaged body'],
    ['header record', 'h', BLOCKS, 'the header record of block 12 was damaged'],
    ['undo record', 'u', BLOCKS, 'the record of what block 12 changed']
  ] as const)(
    'opens when it is the %s of the last block, says so, and ends on the same head',
    async (_what, table, height, says) => {
      const other = await damaged(table)
      const node = Program.node('--data', data.path, '--seed', await other.address(), ...BLOCK_TIME)
      const repaired = await node.event('repaired')
      expect(repaired.height).toBe(height)
      expect((repaired.what as string[]).join('\n')).toContain(says)
      const told = node.events.map(({ event }) => event)
      expect(told.filter((event) => event !== 'rebuild').slice(0, 2)).toEqual(['listening', 'repaired'])
      // how far it is comes before all else
      expect(told[0]).toBe(table === 'u' ? 'rebuild' : 'listening')
      const live = await node.event('sync', ({ state, height }) => state === 'live' && height === BLOCKS)
      expect(live).toMatchObject({ target: BLOCKS, claimed: BLOCKS, peers: 1, blocksPerSecond: expect.any(Number) })
      expect(await node.signal('SIGINT')).toBe(0)
      expect(node.events.at(-1)).toMatchObject({ event: 'stopped', height: BLOCKS })

      const again = Program.node('--data', data.path, ...BLOCK_TIME)
      await again.event('listening')
      await again.signal('SIGINT')
      expect(again.events.map(({ event }) => event)).not.toContain('repaired')
      expect(again.events.at(-1)!.hash).toBe(node.events.at(-1)!.hash)
    }
  )

  it('tells a person in one line', async () => {
    const other = await damaged('b')
    const seed = await other.address()
    const node = Program.cli(
      'node',
      '--host',
      '127.0.0.1',
      '--port',
      '0',
      '--data',
      data.path,
      '--seed',
      seed,
      ...BLOCK_TIME
    )
    await node.until('the repair', () => / repair {2}/.test(node.stdout))
    expect(node.stdout).toMatch(
      /repair {2}now at #11: block 12 has a damaged body; cut back from 12 to block 11 \([0-9a-f]{6}\); .*\n/
    )
  })
})
