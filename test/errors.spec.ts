import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as errors from 'blockwire/errors'
import { type BlockwireError, PeerError } from 'blockwire/errors'
import { ProtocolOrderError, StatusTimeoutError } from 'blockwire/status'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Sections of docs/errors.md by heading. */
async function sections(): Promise<[heading: string, text: string][]> {
  const text = await readFile(join(root, 'docs/errors.md'), 'utf8')
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => [part.split('\n')[0]!.trim(), part.slice(part.indexOf('\n'))])
}

/** Every code that the sources can give: those that stand there, and those of peers' errors, which are made from their names. */
async function codes(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const room of ['src', 'examples']) {
    for (const entry of await readdir(join(root, room), { recursive: true, withFileTypes: true })) {
      if (!entry.name.endsWith('.ts')) continue
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
      for (const [, code] of text.matchAll(/\b(BW_[A-Z]+(?:_[A-Z]+)*)\b(?!_)/g)) found.set(code!, entry.name)
      for (const [, name] of text.matchAll(/extends PeerError \{[\s\S]*?super\('(\w+)'/g))
        found.set(new PeerError(name!, 'none', '').code, entry.name)
      for (const [, name] of text.matchAll(/new PeerError\('(\w+)'/g))
        found.set(new PeerError(name!, 'none', '').code, entry.name)
    }
  }
  return found
}

describe('docs/errors.md', () => {
  it('has one heading for every code, and no other', async () => {
    const headings = (await sections()).map(([heading]) => heading)
    expect(new Set(headings).size, 'a heading stands there twice').toBe(headings.length)
    expect(headings.toSorted()).toEqual([...(await codes()).keys()].sort())
  })

  it('says below each what it is and which error has it', async () => {
    const classes = [...Object.values(errors), StatusTimeoutError, ProtocolOrderError]
    const named = new Map(
      (await sections()).map(([heading, text]) => [heading, /^\s*`(\w+Error)`/.exec(text)?.[1]] as const)
    )
    for (const [heading, text] of await sections()) expect(text.trim().length, heading).toBeGreaterThan(40)
    for (const made of classes.filter((each) => each !== errors.BlockwireError && each !== PeerError)) {
      // the arguments only fill in the message
      const { name, code } = new (made as new (...args: unknown[]) => BlockwireError)('a', 'b', 'c', 'd')
      expect(named.get(code), `${name} has ${code}`).toBe(name)
    }
  })
})
