import { afterEach, describe, expect, it } from 'vitest'
import { killWhileMining } from '../helpers/kill.js'
import { Program, temporaryDirectory } from '../helpers/process.js'

afterEach(() => Program.killAll())

describe('a mining process that is killed', () => {
  it('reopens on a whole chain with every block that it had called mined', async () => {
    const data = await temporaryDirectory()
    try {
      expect(await killWhileMining(data.path, 2)).toBeGreaterThanOrEqual(2)
    } finally {
      await data.remove()
    }
  }, 60_000)
})
