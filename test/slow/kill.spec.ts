import { afterEach, describe, expect, it } from 'vitest'
import { buildHistory } from '../helpers/damage.js'
import { killWhileMining, killWhileSyncing } from '../helpers/kill.js'
import { Program, temporaryDirectory } from '../helpers/process.js'

afterEach(() => Program.killAll())

describe('a mining process that is killed', () => {
  it('reopens 20 times on a whole chain with every block that it had called mined', async () => {
    const data = await temporaryDirectory()
    try {
      expect(await killWhileMining(data.path, 20)).toBeGreaterThanOrEqual(20)
    } finally {
      await data.remove()
    }
  }, 240_000)
})

describe('a syncing process that is killed', () => {
  it('reopens 12 times on a whole chain, goes on, and has all in the end', async () => {
    const data = await temporaryDirectory()
    try {
      await buildHistory(data.path, 400, 100)
      const server = Program.node('--data', data.path, '--block-time', '0.1')
      await killWhileSyncing(await server.address(), 400, 12)
      expect(await server.signal('SIGINT')).toBe(0)
    } finally {
      await data.remove()
    }
  }, 240_000)
})
