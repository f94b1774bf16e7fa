import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../helpers/process.js'

// What is published, as one who installs it meets it. Needs the registry of npm: without it this fails.

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MAX_PACKAGES = 125
const MAX_BYTES = 45_000_000

interface Run {
  code: number
  stdout: string
  stderr: string
}

/** The settings of the npm that runs the tests must not leak into the app's, nor its modules into the cache of the tests. */
const ENV = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(config_(local_)?prefix|package_|lifecycle_)/i.test(key))
  ),
  NODE_DISABLE_COMPILE_CACHE: '1'
}

function run(file: string, args: string[], cwd: string, ms = 120_000): Promise<Run> {
  return new Promise((resolve) => {
    execFile(
      file,
      args,
      { cwd, env: ENV, timeout: ms, maxBuffer: 64 << 20, shell: process.platform === 'win32' && file === 'npm' },
      (err, stdout, stderr) => {
        const code = err == null ? 0 : typeof err.code === 'number' ? err.code : 1
        resolve({ code, stdout, stderr: err != null && stderr === '' ? err.message : stderr })
      }
    )
  })
}

/** Runs and demands success; a failure shows all that was said. */
async function must(file: string, args: string[], cwd: string, ms?: number): Promise<Run> {
  const result = await run(file, args, cwd, ms)
  if (result.code !== 0) {
    throw new Error(`${file} ${args.join(' ')} ended with ${result.code}\n${result.stdout}\n${result.stderr}`)
  }
  return result
}

const node = (args: string[], ms?: number): Promise<Run> => must(process.execPath, args, app, ms)
const tool = (name: string): string => join(ROOT, 'node_modules', '.bin', name)

let app: string
let tarball: string
let installed: Run
let subpaths: string[]
let remove: () => Promise<void>

beforeAll(async () => {
  const folder = await temporaryDirectory()
  remove = folder.remove
  const packed = await must('npm', ['pack', '--json', '--pack-destination', folder.path], ROOT)
  const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')))
  tarball = join(folder.path, filename)
  app = join(folder.path, 'app')
  await mkdir(app)
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
  installed = await must('npm', ['install', '--omit=dev', '--no-audit', '--no-fund', tarball], app)
  const { exports } = JSON.parse(await readFile(join(app, 'node_modules/blockwire/package.json'), 'utf8'))
  subpaths = Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => path.replace('.', 'blockwire'))
}, 240_000)

afterAll(() => remove?.())

/** Compiles the app as strictly as can be, declarations of all packages included. */
async function compile(compiler: string, files: string[]): Promise<string> {
  const options = {
    module: 'nodenext',
    target: 'es2024',
    strict: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    declaration: true,
    outDir: 'out',
    rootDir: '.',
    // an app has these from its own dev dependencies
    typeRoots: [join(ROOT, 'node_modules/@types')],
    types: ['node']
  }
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files }))
  return (await run(process.execPath, [tool(compiler), '-p', 'tsconfig.json'], app)).stdout
}

describe('the packed package, installed into an empty app', () => {
  it('is small, and installs without a warning of its own', async () => {
    const lock = JSON.parse(await readFile(join(app, 'node_modules/.package-lock.json'), 'utf8'))
    const packages = Object.keys(lock.packages).length
    let bytes = 0
    for (const entry of readdirSync(join(app, 'node_modules'), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size
    }
    console.log(
      `installed: ${packages} packages of ${MAX_PACKAGES}, ${(bytes / 1e6).toFixed(1)} MB of ${MAX_BYTES / 1e6}`
    )
    expect(packages).toBeLessThanOrEqual(MAX_PACKAGES)
    expect(bytes).toBeLessThanOrEqual(MAX_BYTES)
    // npm speaks of install scripts, and of settings of this machine that it does not know
    const warnings = installed.stderr
      .split('\n')
      .filter((line) => /warn|deprecated/i.test(line) && !/^npm warn (install-scripts|Unknown \w+ config)/i.test(line))
    expect(warnings).toEqual([])
    // what was deleted in the checkout is not in the package
    const dist = join(app, 'node_modules/blockwire/dist')
    const stale = readdirSync(dist, { recursive: true })
      .map(String)
      .filter(
        (file) => file.endsWith('.js') && !statSync(join(ROOT, file.replace(/\.js$/, '.ts')), { throwIfNoEntry: false })
      )
    expect(stale).toEqual([])
  })

  it.each(['tsc', 'tsc6'])(
    'compiles under %s: the program of the README, every subpath, an own chain',
    async (compiler) => {
      const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
      await writeFile(join(app, 'readme.ts'), /```ts\n([\s\S]*?)```/.exec(readme)![1]!)
      await writeFile(
        join(app, 'all.ts'),
        `${subpaths.map((path, i) => `import * as room${i} from '${path}'`).join('\n')}\nexport const rooms = [${subpaths.map((_, i) => `room${i}`)}]\n`
      )
      await copyFile(join(ROOT, 'examples/authority/index.ts'), join(app, 'authority.ts'))
      expect(await compile(compiler, ['readme.ts', 'all.ts', 'authority.ts'])).toBe('')
    }
  )

  it('runs the program of the README', async () => {
    const { stdout, stderr } = await node(['out/readme.js'])
    expect(stdout.split('\n')).toEqual(['bob has #1', 'bob has #2', 'bob has #3', 'true', ''])
    expect(stderr).toBe('')
  })

  it('loads by every path, as ESM and by require, with the same names', async () => {
    const list = JSON.stringify(subpaths)
    await writeFile(
      join(app, 'load.mjs'),
      `for (const path of ${list}) console.log(path, Object.keys(await import(path)).sort().join())`
    )
    await writeFile(
      join(app, 'load.cjs'),
      `for (const path of ${list}) console.log(path, Object.keys(require(path)).filter((name) => name !== '__esModule').sort().join())`
    )
    const [esm, cjs] = [await node(['load.mjs']), await node(['load.cjs'])]
    expect(esm.stdout.trimEnd().split('\n')).toHaveLength(subpaths.length)
    expect(cjs.stdout).toBe(esm.stdout)
    const used = await node(['-e', `const { createNode } = require('blockwire'); console.log(typeof createNode)`])
    expect(used.stdout).toBe('function\n')
  })

  it('has the command', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    const command = join(app, 'node_modules/.bin', process.platform === 'win32' ? 'blockwire.cmd' : 'blockwire')
    expect((await must(command, ['--version'], app)).stdout.trim()).toBe(version)
  })

  it('runs the authority example', async () => {
    const { stdout } = await node(['node_modules/blockwire/dist/examples/authority/demo.js'])
    expect(stdout).toContain('ada pays bob 30, said to cho: accept\n')
    expect(stdout).toMatch(/ada has 70\nbob has 30\ncho has 0\n$/)
  })

  it('is clean for publint and arethetypeswrong', async () => {
    await must(process.execPath, [tool('publint'), '--strict', tarball], ROOT)
    await must(process.execPath, [tool('attw'), tarball, '--profile', 'esm-only'], ROOT)
  })
})
