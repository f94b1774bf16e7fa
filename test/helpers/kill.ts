import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createNode } from 'blockwire'
import { coin } from 'blockwire/pow'
import { expect } from 'vitest'
import { type CliEvent, Program, temporaryDirectory } from './process.js'

/** Kills a process at a random moment of its work: up to 30 ms after it has said fewer than `count` lines more, or that it is live. */
async function killSoon(program: Program, count: number): Promise<void> {
  const { events: lines } = program
  const told = lines.length + Math.floor(Math.random() * count)
  await program.until(`its line ${told}`, () => lines.length >= told || lines.some(({ state }) => state === 'live'))
  await delay(Math.random() * 30)
  program.child.kill('SIGKILL')
  await once(program.child, 'close')
}

/**
 * Kills a mining process `times` times with SIGKILL, each time at a random moment after its first block, and checks each time that
 * its directory opens on a chain that links and holds every block that it had called `mined`. Returns the height in the end.
 */
export async function killWhileMining(data: string, times: number): Promise<number> {
  const mined = new Map<number, string>()
  let height = 0
  for (let run = 0; run < times; run++) {
    const node = Program.node('--data', data, '--mine', '--threads', '1', '--block-time', '0.1')
    await node.event('mined')
    await killSoon(node, 8)
    for (const event of node.events.filter(({ event }) => event === 'mined')) note(mined, event)
    height = await check(data, mined, Math.max(...mined.keys()))
  }
  return height
}

/**
 * Kills a process that syncs from `seed` `times` times with SIGKILL, each time at a random moment of its sync, and checks each time that
 * its directory opens on a chain that links and is as high as what it had told. It goes on where it was; when it has all `height` blocks,
 * a new directory is begun. In the end it comes to the same head as everyone.
 */
export async function killWhileSyncing(seed: string, height: number, times: number): Promise<void> {
  let data = await temporaryDirectory()
  const start = (): Program => Program.node('--data', data.path, '--seed', seed, '--block-time', '0.1')
  try {
    for (let run = 0; run < times; run++) {
      const node = start()
      await node.event('sync', ({ state }) => state === 'headers' || state === 'bodies')
      await killSoon(node, 6)
      if ((await check(data.path, new Map(), node.height)) < height) continue
      await data.remove()
      data = await temporaryDirectory()
    }
    const last = start()
    await last.event('sync', (event) => event.state === 'live' && event.height === height)
    expect(await last.signal('SIGINT')).toBe(0)
  } finally {
    await data.remove()
  }
}

function note(mined: Map<number, string>, { height, hash }: CliEvent): void {
  expect(mined.has(Number(height)), `#${height} was mined twice: a block was lost`).toBe(false)
  mined.set(Number(height), String(hash))
}

/** Opens the directory as a node would, without network. `told` is the highest head that the process had told. */
async function check(data: string, mined: Map<number, string>, told: number): Promise<number> {
  const rules = coin({ network: 'hello', blockTime: 100 })
  const { chain, stop } = await open(data, rules)
  try {
    for (const [height, hash] of mined) expect(hex(chain.hashAt(height)), `block #${height}`).toBe(hash)
    expect(chain.report.repaired).toEqual([])
    expect(chain.head.height).toBeGreaterThanOrEqual(told)
    let parent = chain.genesis.hash
    for (let height = 1; height <= chain.head.height; height++) {
      const located = chain.locate(chain.hashAt(height)!)
      expect(hex(located?.header.parent), `parent of #${height}`).toBe(hex(parent))
      expect(await chain.block(located!.hash), `bytes of #${height}`).toBeDefined()
      parent = located!.hash
    }
    return chain.head.height
  } finally {
    await stop()
  }
}

async function open(data: string, rules: ReturnType<typeof coin>) {
  const node = await createNode({ rules, dataDir: data, libp2p: { start: false } })
  return { chain: node.chain, stop: () => node.stop() }
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex')
}
