import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Chain, type Database, toHex } from 'blockwire/chain'
import { testRules } from 'blockwire/testing'
import { ClassicLevel } from 'classic-level'
import { expect } from 'vitest'
import { openFreezerFiles } from '../../dist/src/freezer-files.js'
import { type CliEvent, Program, temporaryDirectory } from './process.js'

const PROGRAM = fileURLToPath(new URL('crash-program.mjs', import.meta.url))

/** The same as in crash-program.mjs. */
export const crashRules = testRules({ network: 'crash', state: { a: 'genesis' } })

/** Before a write, while LevelDB is at it, or when it is done and nobody knows yet. */
export type Moment = 'before' | 'during' | 'after'

export interface Crash {
  scenario: 'sync' | 'mine' | 'reorg' | 'steps' | 'rebuild'
  seed?: string
  upTo?: number
  moment: Moment
  /** Which write. 0: none. */
  at: number
}

/** What is left of a process. */
export interface Remains {
  data: string
  /** It was killed; otherwise it came to its end. */
  killed: boolean
  /** What it had told. */
  events: CliEvent[]
  remove(): Promise<void>
}

/** Runs the program in a new directory. `onHead` hears of its heads while it runs. */
export async function crash(what: Crash, onHead: (height: number) => void = () => {}): Promise<Remains> {
  const { path: data, remove } = await temporaryDirectory()
  const program = new Program(PROGRAM, [JSON.stringify({ data, ...what })])
  const ended = once(program.child, 'close')
  program.child.stdout!.on('data', () => onHead(program.height))
  await program.until('its end', () => program.code !== undefined, 60_000)
  const [code, signal] = await ended
  expect(signal ?? code, program.tail()).toBe(what.at > 0 && code == null ? 'SIGKILL' : 0)
  return { data, killed: signal != null, events: program.events, remove }
}

/** Opens the store of a directory; `close` lets go of it. */
export async function openStore(data: string, rules = crashRules) {
  const db: Database = new ClassicLevel(join(data, 'db'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false
  })
  const { files, close: closeFiles } = await openFreezerFiles(join(data, 'blocks'))
  const chain = new Chain({ rules, db, files })
  await chain.open()
  return {
    db,
    chain,
    async close() {
      await chain.close()
      await db.close()
      await closeFiles()
    }
  }
}

/**
 * A store that a process was killed at: it opens without a repair, links, holds all that the process had announced, and its state is
 * what its blocks give.
 */
export async function expectWhole({ data, events }: Pick<Remains, 'data' | 'events'>): Promise<void> {
  const { db, chain, close } = await openStore(data)
  try {
    expect(chain.report.repaired).toEqual([])
    const told = events.findLast(({ event }) => event === 'head')
    // every block has the work 1
    expect(chain.head.height).toBeGreaterThanOrEqual(Number(told?.height ?? 0))
    for (const { height, hash } of events.filter(({ event }) => event === 'mined'))
      expect(toHex(chain.hashAt(Number(height)) ?? new Uint8Array()), `our block #${height}`).toBe(hash)
    await expectReplay(chain, db)
  } finally {
    await close()
  }
}

/** Adds every block to a chain of its own: it has to come to the same head and the same state. */
async function expectReplay(chain: Awaited<ReturnType<typeof openStore>>['chain'], db: Database): Promise<void> {
  const again = new Chain({ rules: crashRules })
  await again.open()
  for await (const page of chain.blocks(1, chain.head.height))
    expect((await again.addBlocks(page)).verdict).toEqual({ result: 'accept' })
  expect(toHex(again.head.hash)).toBe(toHex(chain.head.hash))
  for await (const [key, value] of db.iterator({ gte: Uint8Array.of(0x73), lt: Uint8Array.of(0x74) }))
    expect(Buffer.from((await again.state.get(key.subarray(1))) ?? []).toString('hex')).toBe(toHex(value))
  for (const key of ['a', 'b', 'c']) {
    const bytes = new TextEncoder().encode(key)
    expect(await chain.state.get(bytes)).toEqual(await again.state.get(bytes))
  }
  await again.close()
}
