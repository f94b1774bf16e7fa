import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

/** Which rooms a room may take values from. Types of a room's index.js are free: they cost nothing at run time. */
const VALUES: Record<string, string[]> = {
  '.': ['chain', 'protocol', 'status', 'peers', 'gossip', 'pool', 'sync', 'pb', 'wasm'],
  chain: [],
  protocol: ['pb'],
  status: ['protocol', 'pb'],
  peers: ['protocol', 'pb'],
  gossip: ['chain'],
  pool: ['chain', 'protocol', 'pb'],
  sync: ['chain', 'protocol', 'pb'],
  ed25519: ['chain'],
  chat: ['protocol', 'pb'],
  pow: ['chain', 'ed25519'],
  testing: ['chain', 'pow', '.'],
  cli: ['.', 'chat', 'examples'],
  pb: [],
  wasm: []
}

interface Import {
  file: string
  room: string
  from: string
  target: string
  typeOnly: boolean
}

async function imports(): Promise<Import[]> {
  const found: Import[] = []
  for (const entry of await readdir(src, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.ts')) continue
    const path = join(entry.parentPath, entry.name)
    const text = await readFile(path, 'utf8')
    for (const [, typeOnly, names, from] of text.matchAll(
      /^(?:import|export) (type )?([^'"]*?)\s*from '(\.[^']+)'/gms
    )) {
      const target = relative(src, join(dirname(path), from!))
      const allTypes = typeOnly != null || /^\{(\s*type [^,}]+,?)+\s*\}$/.test(names!.trim())
      found.push({
        file: relative(src, path),
        room: roomOf(relative(src, path)),
        from: target,
        target: roomOf(target),
        typeOnly: allTypes
      })
    }
  }
  return found
}

const roomOf = (path: string): string =>
  path.startsWith('../examples/') ? 'examples' : path.includes('/') ? path.split('/')[0]! : '.'

/** Files beside the rooms that every room may use. */
const SHARED = new Set(['errors.js', 'clock.js', 'hex.js', 'hash.js', 'lanes.js', 'rate.js', 'siphash.js', 'slice.js'])

describe('the rooms', () => {
  it('take values only from the rooms that they stand on', async () => {
    const wrong = (await imports())
      .filter(({ room, target, from, typeOnly }) => room !== target && !typeOnly && !SHARED.has(from))
      .filter(({ room, target }) => !(VALUES[room] ?? []).includes(target))
    expect(wrong.map(({ file, from }) => `${file} imports ${from}`)).toEqual([])
  })

  it('know each other only through their index', async () => {
    const inside = (await imports())
      .filter(
        ({ room, target, from }) =>
          room !== target &&
          target !== '.' &&
          target !== 'pb' &&
          target !== 'wasm' &&
          target !== 'examples' &&
          !SHARED.has(from)
      )
      .filter(({ from, target }) => from !== `${target}/index.js`)
    expect(inside.map(({ file, from }) => `${file} imports ${from}`)).toEqual([])
  })
})
