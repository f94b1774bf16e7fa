import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'

describe('the package', () => {
  it('loads by every path that it exports, and the names are the expected ones', async () => {
    const { exports } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    const surface: Record<string, string[]> = {}
    for (const path of Object.keys(exports)) {
      if (path === './package.json') continue
      const name = path.replace('.', 'blockwire')
      surface[name] = Object.keys(await import(name)).sort()
    }
    await expect(JSON.stringify(surface, null, 2)).toMatchFileSnapshot('fixtures/exports.json')
  })
})
