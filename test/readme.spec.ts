import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const root = new URL('../', import.meta.url)

describe('the README', () => {
  it('shows the two-node program as it stands in examples, and it runs', async () => {
    const readme = await readFile(new URL('README.md', root), 'utf8')
    const program = await readFile(new URL('examples/two-nodes/index.ts', root), 'utf8')
    const fences = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)
    expect(fences).toEqual([program])
    const run = await promisify(execFile)(process.execPath, ['dist/examples/two-nodes/index.js'], {
      cwd: root,
      timeout: 60_000
    })
    expect(run.stdout.split('\n')).toEqual(['bob has #1', 'bob has #2', 'bob has #3', 'true', ''])
    expect(run.stderr).toBe('')
  }, 70_000)

  it('lists every import path of the package', async () => {
    const readme = await readFile(new URL('README.md', root), 'utf8')
    const { exports } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
    const paths = Object.keys(exports).filter((path) => path !== './package.json')
    for (const path of paths) expect(readme).toContain(`\`${path.replace('.', 'blockwire')}\``)
  })
})

describe('docs/peers.md', () => {
  it('shows code that runs as it stands, between imports that libp2p’s own pages show', async () => {
    const page = await readFile(new URL('docs/peers.md', root), 'utf8')
    const fences = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)
    expect(fences).toHaveLength(2)
    const [host, bans] = fences as [string, string]
    const program = [
      "import { yamux } from '@chainsafe/libp2p-yamux'",
      "import { identify } from '@libp2p/identify'",
      "import { ping } from '@libp2p/ping'",
      "import { createLibp2p } from 'libp2p'",
      'const seeds = []',
      host,
      `{ ${bans.replace('peers.bans()', 'console.log(peers.bans().length)')} console.log(peers.bans().length) }`,
      'await node.stop()'
    ]
    // inside the package, so that its imports are found
    const file = new URL('dist/peers-page.mjs', root)
    await writeFile(file, program.join('\n'))
    try {
      const run = await promisify(execFile)(process.execPath, [file.pathname], { timeout: 30_000 })
      expect(run).toEqual({ stdout: '1\n0\n', stderr: '' })
    } finally {
      await rm(file)
    }
  }, 40_000)
})

describe('docs/sync.md', () => {
  it('shows a loop that runs as it stands, and ends when the node is in sync', async () => {
    const page = await readFile(new URL('docs/sync.md', root), 'utf8')
    const fences = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)
    expect(fences).toHaveLength(1)
    const program = [
      "import { createNode } from 'blockwire'",
      "import { growChain, testRules } from 'blockwire/testing'",
      'const rules = testRules()',
      'const other = await createNode({ rules })',
      'await growChain(other.chain, 300)',
      'const node = await createNode({ rules, seeds: other.multiaddrs })',
      fences[0],
      'await Promise.all([node.stop(), other.stop()])'
    ]
    const file = new URL('dist/sync-page.mjs', root)
    await writeFile(file, program.join('\n'))
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [file.pathname], { timeout: 30_000 })
      const lines = stdout.trim().split('\n')
      expect(lines[0]).toMatch(/^(no-peers|headers|bodies|live): \d+ of \d+, \d/)
      expect(lines.at(-2)).toMatch(/^live: 300 of 300, [\d.]+ blocks\/s$/)
      expect(lines.at(-1)).toBe('nothing is missing: follows gossip and what peers announce')
      expect(stderr).toBe('')
    } finally {
      await rm(file)
    }
  }, 40_000)

  it('names every state and every field of progress', async () => {
    const page = await readFile(new URL('docs/sync.md', root), 'utf8')
    const source = await readFile(new URL('src/sync/progress.ts', root), 'utf8')
    const planner = await readFile(new URL('src/sync/planner.ts', root), 'utf8')
    const [, fields = ''] = /interface SyncProgress \{([\s\S]*?)\n\}/.exec(source) ?? []
    const [, states = ''] = /type SyncState = (.*)/.exec(planner) ?? []
    const names = [
      ...[...fields.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name),
      ...[...states.matchAll(/'([\w-]+)'/g)].map(([, name]) => name)
    ]
    expect(names.length).toBeGreaterThan(12)
    for (const name of names) expect(page).toContain(`\`${name}\``)
  })
})

describe('docs/light.md', () => {
  it('shows a program that runs as it stands', async () => {
    const page = await readFile(new URL('docs/light.md', root), 'utf8')
    const [program] = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)
    const file = new URL('dist/light-page.mjs', root)
    await writeFile(file, program!)
    try {
      const run = await promisify(execFile)(process.execPath, [file.pathname], { timeout: 60_000 })
      expect(run).toEqual({ stdout: 'transfer true\ntrue\n', stderr: '' })
    } finally {
      await rm(file)
    }
  }, 70_000)
})

describe('docs/pool.md', () => {
  it('shows code that runs as it stands', async () => {
    const page = await readFile(new URL('docs/pool.md', root), 'utf8')
    const fences = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)
    expect(fences).toHaveLength(2)
    const program = [
      "import { createNode } from 'blockwire'",
      "import { testRules } from 'blockwire/testing'",
      'const when = (parent) => parent.header.time + 10',
      'const seal = ({ header }) => ({ header: { ...header, nonce: 0, weight: 1, bad: 0 } })',
      'const node = await createNode({ rules: testRules(), produce: { when, seal } })',
      "const tx = { kind: 'set', key: 'k', value: 'x', salt: 0 }",
      fences[0],
      'console.log(handle.status().state)',
      `{ ${fences[1]} console.log(rules.pool.fee({ fee: 7n })) }`,
      'await node.stop()'
    ]
    const file = new URL('dist/pool-page.mjs', root)
    await writeFile(file, program.join('\n'))
    try {
      const run = await promisify(execFile)(process.execPath, [file.pathname], { timeout: 60_000 })
      expect(run).toEqual({ stdout: 'included\n7n\n', stderr: '' })
    } finally {
      await rm(file)
    }
  }, 70_000)
})
