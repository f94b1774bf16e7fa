import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { Program, temporaryDirectory } from '../helpers/process.js'

const PROGRAM = fileURLToPath(new URL('../helpers/serving-program.mjs', import.meta.url))
const ROUNDS = 2
/** Some two seconds of the server's CPU. */
const ROUND_BYTES = 150e6

const folders: Awaited<ReturnType<typeof temporaryDirectory>>[] = []
afterEach(() => Program.killAll())
afterAll(() => Promise.all(folders.map((folder) => folder.remove())))

const start = (config: Record<string, unknown>): Program => new Program(PROGRAM, [JSON.stringify(config)])

async function serve(blocks: number, bytes: number): Promise<{ server: Program; address: string }> {
  const folder = await temporaryDirectory()
  folders.push(folder)
  const server = start({ role: 'server', data: folder.path, blocks, bytes })
  await server.event('listening', undefined, 60_000)
  return { server, address: await server.address() }
}

/** Tells a program to do something, and waits for what it says when it has done it. */
async function tell<T>(program: Program, message: string | object, event: string): Promise<T> {
  const before = program.events.length
  program.child.send(message)
  await program.until(event, () => program.events.slice(before).some((each) => each.event === event), 60_000)
  return program.events.slice(before).find((each) => each.event === event) as T
}

interface Spent {
  cpu: number
  held: number
  answers: number
}

describe('a node that serves', () => {
  it('gives an honest peer over half of what it gets alone, beside one that asks 1,000 times a second', async () => {
    const { server, address } = await serve(256, 10_000)
    const reader = start({ role: 'reader', address })
    await reader.event('ready', undefined, 60_000)
    // by CPU time of the server, which is what they share: what else this machine does must not count
    const read = async (): Promise<number> => {
      await tell(server, 'spent', 'spent')
      const { bytes } = await tell<{ bytes: number }>(reader, { read: ROUND_BYTES }, 'read')
      const { cpu } = await tell<Spent>(server, 'spent', 'spent')
      return bytes / 1e6 / cpu
    }
    await tell(reader, { read: ROUND_BYTES / 4 }, 'read')
    const alone: number[] = []
    const beside: number[] = []
    let cut = 0
    for (let round = 0; round < ROUNDS; round++) {
      alone.push(await read())
      // a new one each time: the one before is banned
      const flooder = start({ role: 'flooder', address, rate: 1_000 })
      await flooder.event('ready', undefined, 60_000)
      flooder.child.send('flood')
      beside.push(await read())
      const flooded = await tell<{ cut: number; asked: number }>(flooder, 'enough', 'flooded')
      expect(flooded.asked, 'there was a flood').toBeGreaterThan(200)
      cut += flooded.cut
      flooder.child.kill()
    }
    const sum = (list: number[]): number => list.reduce((all, each) => all + each, 0)
    const ratio = sum(beside) / sum(alone)
    console.log(
      `beside a flooder: ${ratio.toFixed(2)} of alone (MB a second of the server's CPU: ${beside.map((each) => each.toFixed(0))} of ${alone.map((each) => each.toFixed(0))})`
    )
    expect(ratio).toBeGreaterThan(0.5)
    expect(cut, 'the flooder keeps its connection').toBeGreaterThan(0)
  })

  it('holds little for peers that ask and do not read, cuts them, and serves another meanwhile', async () => {
    const { server, address } = await serve(60, 960_000)
    const reader = start({ role: 'reader', address })
    await reader.event('ready', undefined, 60_000)
    await tell(reader, { read: 10e6 }, 'read')
    const sleeper = start({ role: 'sleeper', address, blocks: 60 })
    await sleeper.event('ready', undefined, 60_000)
    const before = await tell<Spent>(server, 'spent', 'spent')
    await tell(sleeper, 'ask', 'asked')
    sleeper.child.kill('SIGSTOP')
    // the honest one gets blocks: more than each of them has asked for, so that in fair turns they were given all that they take
    await tell(reader, { read: 30e6 }, 'read')
    const during = await tell<Spent>(server, 'spent', 'spent')
    expect(during.answers, 'they are waited for').toBeGreaterThan(0)
    // of each of eight three blocks that were read, and a frame made of one; they asked for 16 MiB each
    expect((during.held - before.held) / 1e6).toBeLessThan(8 * 5)
    // what they do not read for 10 s is given up
    await tell(server, 'rest', 'resting')
  })
})
