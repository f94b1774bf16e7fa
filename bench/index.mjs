#!/usr/bin/env node
// Benchmarks: npm run bench -- NAME [--json]. See README.md beside this file.
import { parseArgs } from 'node:util'
import { table } from './report.mjs'

/** By name: what it measures, and how to load it. */
const BENCHES = {
  mine: { about: 'hashes a second of the miner on all cores', load: () => import('./mine/index.mjs') },
  peers: {
    about: 'memory of an idle peer, and time until nodes that know a seed have found each other',
    load: () => import('./peers/index.mjs')
  },
  sync: {
    about: 'blocks a second that a new node downloads, checks and stores',
    load: () => import('./sync/index.mjs')
  }
}

const names = Object.entries(BENCHES).map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`)
const help = `Usage: npm run bench -- NAME [options]

Measures blockwire, the limit of this machine and other ways to do the same, in turn, and prints medians and ratios.

${names.join('\n')}

Options:
  --case NAME     one case only; may be given several times
  --runs N        rounds (default 5)
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
const runs = Number(values.runs ?? (values.quick ? 1 : 5))
if (!Number.isInteger(runs) || runs < 1 || runs > 1_000) fail(`--runs ${values.runs} is not an integer from 1 to 1000`)

const { cases, measure } = await BENCHES[/** @type {keyof typeof BENCHES} */ (name)].load()
const wanted = values.case ?? cases
const unknown = wanted.find((one) => !cases.includes(one))
if (unknown != null) fail(`${name} has no case '${unknown}': ${cases.join(', ')}`)

const tell = (/** @type {string} */ text) => {
  if (!values.json) console.error(`  ${text}`)
}
for (const one of wanted) {
  for (const line of await measure(one, { runs, quick: values.quick, profiles: values.profile, tell })) {
    console.log(values.json ? JSON.stringify(line) : table(line))
  }
}
