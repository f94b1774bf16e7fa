#!/usr/bin/env node
// Runs a tool or a file with a Node that is new enough (libp2p 3 needs 22.12).
//   node scripts/run.mjs vitest run      a command of node_modules/.bin
//   node scripts/run.mjs dist/file.js    a file
// Where the running Node is older, node@24 is installed from npm, once, into .node (ignored by git).
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const NEEDED = [22, 12]
const root = join(dirname(fileURLToPath(import.meta.url)), '..')

const [major, minor] = process.versions.node.split('.').map(Number)
const newEnough = major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
const node = newEnough ? process.execPath : installedNode()

const [what, ...args] = process.argv.slice(2)
if (what == null) {
  console.error('usage: node scripts/run.mjs COMMAND|FILE [ARGUMENT ...]')
  process.exit(2)
}
const file = /\.[cm]?js$/.test(what) ? resolve(what) : binOf(what)
const child = spawn(node, [file, ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: dirname(node) + delimiter + process.env.PATH }
})
// The child shares our terminal and hears Ctrl-C itself: we only wait for its end.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.on('exit', (code, signal) => {
  process.exit(signal == null ? (code ?? 1) : 1)
})

/** Path of a Node 24 in .node, installed from npm when it is not there yet. */
function installedNode() {
  const home = join(root, '.node')
  const binary = join(home, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  console.error(
    `Node ${process.versions.node} is older than ${NEEDED.join('.')}: installing node@24 from npm into .node, once`
  )
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const done = spawnSync(
    npm,
    ['install', '--prefix', home, '--no-save', '--no-audit', '--no-fund', '--loglevel=error', 'node@24'],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: root,
      // npm's settings of the script that started us (workspace, prefix) must not leak into this install
      env: Object.fromEntries(
        Object.entries(process.env).filter(([key]) => !/^npm_(config_(local_)?prefix|package_)/i.test(key))
      ),
      shell: process.platform === 'win32'
    }
  )
  if (done.status !== 0 || !existsSync(binary)) {
    console.error(`Could not install node@24. Install Node ${NEEDED.join('.')} or newer yourself and run this again.`)
    process.exit(1)
  }
  return binary
}

/** The JavaScript file behind a command that one of our dependencies provides. */
function binOf(command) {
  const require = createRequire(join(root, 'package.json'))
  const { dependencies, devDependencies } = require('./package.json')
  for (const name of Object.keys({ ...devDependencies, ...dependencies })) {
    const folder = join(root, 'node_modules', name)
    const manifest = join(folder, 'package.json')
    if (!existsSync(manifest)) continue
    const { bin } = JSON.parse(readFileSync(manifest, 'utf8'))
    const target = typeof bin === 'string' && name.split('/').pop() === command ? bin : bin?.[command]
    if (target != null) return join(folder, target)
  }
  console.error(`No command '${command}' among the dependencies: run npm install first`)
  process.exit(1)
}
