import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createNode } from 'blockwire'
import { splitBlock } from 'blockwire/chain'
import { testRules } from 'blockwire/testing'
import { afterEach, expect, it } from 'vitest'
import { Program, temporaryDirectory } from '../helpers/process.js'

const PROGRAM = fileURLToPath(new URL('../helpers/pool-program.mjs', import.meta.url))
const RUNS = 10

afterEach(() => Program.killAll())

it('a process that submits and mines is killed 10 times: what it had called accepted is mined once or pending', async () => {
  const data = await temporaryDirectory()
  try {
    const accepted = new Set<string>()
    for (let run = 0; run < RUNS; run++) {
      const program = new Program(PROGRAM, [data.path, `${run}`])
      await program.until('the first to be accepted', () => program.events.length > 3, 60_000)
      await delay(Math.random() * 300)
      program.child.kill('SIGKILL')
      await once(program.child, 'close')
      for (const { keys } of program.events) for (const key of keys as string[]) accepted.add(key)
    }
    await using node = await createNode({ rules: testRules({ network: 'pool-kill' }), dataDir: data.path })
    const { chain, pool } = node
    const found = new Map<string, string[]>()
    const note = (bytes: Uint8Array, where: string): void => {
      const { key } = chain.rules.tx.decode(bytes)
      found.set(key, [...(found.get(key) ?? []), where])
    }
    for (let height = 1; height <= chain.head.height; height++) {
      const block = await chain.block(chain.hashAt(height)!)
      for (const tx of splitBlock(block!, chain.limits).txs) note(tx, `#${height}`)
    }
    for (const { bytes } of pool.entries()) note(bytes, 'pool')
    // one that was on disk when the process was killed before it could say so is there, too
    expect([...accepted].filter((key) => !found.has(key))).toEqual([])
    expect([...found].filter(([, places]) => places.length > 1)).toEqual([])
    // otherwise nothing was tried
    expect(chain.head.height).toBeGreaterThan(RUNS)
  } finally {
    await data.remove()
  }
}, 240_000)
