import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** Declared for what npm and bundlers do with them, see docs/decisions.md. */
const NOT_IMPORTED = ['events', 'multiformats']

async function imported(folder: string): Promise<string[]> {
  const root = fileURLToPath(new URL(`../${folder}/`, import.meta.url))
  const files = (await readdir(root, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const texts = await Promise.all(files.map((file) => readFile(root + file, 'utf8')))
  return texts
    .flatMap((text) => [...text.matchAll(/^(?:import|export|\}).* from '([^'.][^']*)'|\bimport\('([^'.][^']*)'\)/gm)])
    .map(([, from, loaded]) => /^(@[^/]+\/)?[^/]+/.exec(from ?? loaded!)![0])
    .filter((name) => !name.startsWith('node:') && name !== 'blockwire')
}

describe('the dependencies', () => {
  it('are those that the package imports, no more and no fewer', async () => {
    const { dependencies } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    const used = new Set([...(await imported('src')), ...(await imported('examples')), ...NOT_IMPORTED])
    expect([...used].sort()).toEqual(Object.keys(dependencies).sort())
  })
})
