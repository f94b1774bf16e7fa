import { readdir } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { Program, temporaryDirectory } from '../helpers/process.js'

afterEach(() => Program.killAll())

describe('blockwire node --role light', () => {
  it('follows a miner over TCP, says what it is, keeps no key for rewards, and goes on after a restart', async () => {
    const data = await temporaryDirectory()
    try {
      const full = Program.node('--mine', '--threads', '1', '--block-time', '0.5')
      const seed = await full.address()
      const args = ['--role', 'light', '--seed', seed, '--block-time', '0.5', '--data', data.path]
      const light = Program.node(...args)
      const head = await light.event('head', ({ height }) => Number(height) >= 3)
      expect(head).toMatchObject({ miner: '', txs: 0 })
      expect(await light.signal('SIGTERM')).toBe(0)
      const states = light.events.filter(({ event }) => event === 'sync').map(({ state }) => state)
      expect(states).not.toContain('bodies')
      expect((await readdir(data.path)).filter((name) => name.endsWith('.key'))).toEqual(['identity.key'])

      const screen = Program.cli('node', '--host', '127.0.0.1', '-p', '0', ...args)
      await screen.until('a header', () => /got {5}#[\d,]+ \w{6} {3}\d* ?header/.test(screen.stdout))
      expect(screen.stdout).toContain('  you      light, keeps headers and checks no state   12D3KooW')
      expect(screen.stdout).toMatch(new RegExp(`  data     ${data.path} \\(#\\d`))
      expect(await screen.signal('SIGINT')).toBe(0)
      expect(screen.stderr + light.stderr).toBe('')

      const wrong = Program.node('--data', data.path, '--block-time', '0.5')
      expect(await wrong.exit).toBe(1)
      expect(wrong.events.at(-1)).toMatchObject({ event: 'error', code: 'BW_DATA_ROLE' })
    } finally {
      await data.remove()
    }
  })
})
