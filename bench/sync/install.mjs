// Brings what the library is compared with: a package of its own in others/, installed when it is first needed.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const HOME = new URL('others/', import.meta.url)
const INSTALL_MS = 300_000

/** By name, the versions that are compared with. @type {Record<string, string>} */
export const VERSIONS = manifest(new URL('package.json', HOME)).optionalDependencies

/** @param {URL} file */
function manifest(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

/** @param {string} name */
function isHere(name) {
  const file = new URL(`node_modules/${name}/package.json`, HOME)
  return existsSync(file) && manifest(file).version === VERSIONS[name]
}

/**
 * Why those that are not there are not; none when all are.
 *
 * @param {string[]} names
 * @param {{ quick: boolean, say(text: string): void }} options With `quick` nothing is installed.
 * @returns {Promise<Map<string, string>>}
 */
export async function missing(names, { quick, say }) {
  let absent = names.filter((name) => !isHere(name))
  let why = 'not installed, and --quick does not install it'
  if (absent.length > 0 && !quick) {
    const list = Object.entries(VERSIONS).map(([name, version]) => `${name}@${version}`)
    say(`installing ${list.join(' and ')} from npm into bench/sync/others, once`)
    why = (await install()) ?? 'npm left it out and did not say why'
    absent = names.filter((name) => !isHere(name))
    for (const name of absent) say(`${name} cannot be installed: ${why}`)
  }
  return new Map(absent.map((name) => [name, why]))
}

/** What npm says of a package that it cannot get, and of anything else that stops it. */
const TROUBLE = [/^npm (?:error|ERR!) (?!code )(\S.*)/, /^npm http fetch (GET [45].*|GET .* failed with .*)/]

/** @returns {Promise<string | undefined>} Why some of it may not be there. */
async function install() {
  // No scripts: they would build native parts, which hypercore's packages bring built, and bcoin's can do without.
  // Both are optional to each other, so that npm does not say by itself why one is missing.
  const npm = spawn('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=http'], {
    cwd: fileURLToPath(HOME),
    stdio: ['ignore', 'ignore', 'pipe'],
    // npm's settings of the script that started us (workspace, prefix) must not leak into this install
    env: Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !/^npm_(config_(local_)?prefix|package_)/i.test(key))
    ),
    shell: process.platform === 'win32',
    timeout: INSTALL_MS
  })
  /** @type {string | undefined} */
  let why
  createInterface({ input: npm.stderr }).on('line', (line) => {
    why ??= TROUBLE.map((pattern) => pattern.exec(line)?.[1]).find(Boolean)
  })
  return await new Promise((resolve) => {
    npm.on('error', (err) => resolve(err.message))
    npm.on('close', (code, signal) => {
      resolve(why ?? (code === 0 ? undefined : `npm ci ended with ${signal ?? code}`))
    })
  })
}
