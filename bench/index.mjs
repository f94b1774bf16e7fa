#!/usr/bin/env node
// Benchmarks: npm run bench -- NAME [--json]. See README.md beside this file.
import { parseArgs } from 'node:util'
import { table } from './report.mjs'

/** By name: what it measures, and how to load it. */
const BENCHES = {
  blocks: {
    about: 'bytes and time until a block of 1 MB is at ten nodes',
    load: () => import('./blocks/index.mjs')
  },
  mine: { about: 'hashes a second of the miner on all cores', load: () => import('./mine/index.mjs') },
  peers: {
    about: 'memory of an idle peer, and time until nodes that know a seed have found each other',
    load: () => import('./peers/index.mjs')
  },
  sync: {
    about: 'blocks a second that a new node downloads, checks and stores',
    load: () => import('./sync/index.mjs')
  },
  txs: {
    about: 'transactions a second from one process into the pool of another',
    load: () => import('./txs/index.mjs')
  }
}

const names = Object.entries(BENCHES).map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`)
const help = `Usage: npm run bench -- NAME [options]

Measures blockwire, the limit of this machine and other ways to do the same, in turn, and prints medians and ratios.

${names.join('\n')}

Options:
  --case NAME     one case only; may be given several times
  --runs N        rounds (default 5, of cases that run only when named fewer)
  --json          one JSON line per case and metric
  --quick         tiny and once, to see that it works; the figures mean nothing
  --profile DIR   CPU profiles of blockwire's processes are left there (sync)
  --help          this text`

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(message)
  process.exit(2)
}

/** @returns {ReturnType<typeof parse>} */
function options() {
  try {
    return parse()
  } catch (err) {
    return fail(`${err instanceof Error ? err.message : err}\n\n${help}`)
  }
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      case: { type: 'string', multiple: true },
      runs: { type: 'string' },
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
}

const { values, positionals } = options()
if (values.help) {
  console.log(help)
  process.exit(0)
}
const [name, ...rest] = positionals
if (name == null || !Object.hasOwn(BENCHES, name)) {
  fail(`${name == null ? 'Name a benchmark' : `There is no benchmark '${name}'`}:\n${names.join('\n')}`)
}
if (rest.length > 0) fail(`One benchmark at a time, not also '${rest.join(' ')}'`)
const rounds = values.runs == null ? undefined : Number(values.runs)
if (rounds != null && (!Number.isInteger(rounds) || rounds < 1 || rounds > 1_000)) {
  fail(`--runs ${values.runs} is not an integer from 1 to 1000`)
}

/** @type {{ cases: string[], named?: Record<string, number>, measure(name: string, options: object): Promise<import('./report.mjs').Line[]> }} */
const { cases, named = {}, measure } = await BENCHES[/** @type {keyof typeof BENCHES} */ (name)].load()
const wanted = values.case ?? cases
const known = [...cases, ...Object.keys(named)]
const unknown = wanted.find((one) => !known.includes(one))
if (unknown != null) fail(`${name} has no case '${unknown}': ${known.join(', ')}`)

/** What people must know though they asked for JSON alone. */
const say = (/** @type {string} */ text) => console.error(`  ${text}`)
const quiet = (/** @type {string} */ _text) => {}
const { quick, profile: profiles } = values
for (const one of wanted) {
  const runs = rounds ?? (quick ? 1 : (named[one] ?? 5))
  // what runs for long tells how far it is in any case
  const tell = values.json && !Object.hasOwn(named, one) ? quiet : say
  for (const line of await measure(one, { runs, quick, profiles, tell, say })) {
    console.log(values.json ? JSON.stringify(line) : table(line))
  }
}
