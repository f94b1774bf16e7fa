import { afterEach, describe, expect, it } from 'vitest'
import { sharedHead, Tally } from '../../dist/examples/demo/tally.js'
import type { NodeEvent } from '../../dist/examples/mining-node/event.js'
import { Program } from '../helpers/process.js'

const NAMES = ['ada', 'bob', 'cho', 'dan']
const BLOCK_TIME = ['--block-time', '1']

afterEach(() => Program.killAll())

describe('four mining processes that know only the seed', () => {
  it('share one chain that all of them win, also when the seed is killed', async () => {
    const deadline = Date.now() + 180_000
    const seed = Program.node('--role', 'seed', '--name', 'seed', ...BLOCK_TIME)
    const address = await seed.address()
    const seedId = address.split('/').at(-1)
    const miners = NAMES.map((name) =>
      Program.node('--mine', '--threads', '1', '--name', name, '--seed', address, ...BLOCK_TIME)
    )
    // every one finds the other three through the seed
    await Promise.all(
      miners.map((miner) => miner.until('three miners and the seed as peers', () => peers(miner).size >= 4, 60_000))
    )

    await miners[0]!.until('height 10', () => miners[0]!.height >= 10, deadline - Date.now())
    seed.child.kill('SIGKILL')
    await seed.exit

    await miners[0]!.until(
      'height 40 and a win of each in the last 40',
      () => miners[0]!.height >= 40 && missing(miners, miners[0]!.height).length === 0,
      deadline - Date.now()
    )
    // nothing else has changed
    for (const [index, miner] of miners.entries()) {
      expect(miner.code, `${NAMES[index]}: ${miner.tail()}`).toBeUndefined()
      const left = miner.events
        .filter(({ event, action }) => event === 'peer' && action === 'leave')
        .map(({ peer }) => peer)
      expect(left.filter((peer) => peer !== seedId)).toEqual([])
      expect(miner.events.filter(({ event }) => event === 'error')).toEqual([])
    }

    const stopped = Date.now()
    for (const miner of miners) miner.stopMining()
    await Promise.all(
      miners.map((miner) => miner.until('one head', () => shared(miners) != null, 5_000 - (Date.now() - stopped)))
    )
    console.log(`one head #${shared(miners)?.height} ${Date.now() - stopped} ms after mining stopped`, wins(miners))
    for (const miner of miners) expect(await miner.signal('SIGINT')).toBe(0)
    // what was under way when they stopped has not parted them again
    expect(new Set(miners.map(({ events }) => events.at(-1)?.hash)).size).toBe(1)
  })
})

function peers(program: Program): Set<unknown> {
  const joined = new Set<unknown>()
  for (const { event, action, peer } of program.events) {
    if (event === 'peer' && action === 'join') joined.add(peer)
    if (event === 'peer' && action === 'leave') joined.delete(peer)
  }
  return joined
}

function wins(miners: Program[], from = 1): Record<string, number> {
  const tally = new Tally()
  for (const [index, miner] of miners.entries()) {
    for (const event of miner.events) tally.note(NAMES[index]!, event as unknown as NodeEvent)
  }
  return tally.wins(miners[0]!.height, from)
}

function missing(miners: Program[], height: number): string[] {
  const won = wins(miners, height - 39)
  return NAMES.filter((name) => won[name] == null)
}

function shared(miners: Program[]): { height: number; hash: string } | undefined {
  return sharedHead(miners.map(({ head, height }) => (head == null ? undefined : { hash: head, height })))
}
