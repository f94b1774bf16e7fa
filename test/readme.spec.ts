import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
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
