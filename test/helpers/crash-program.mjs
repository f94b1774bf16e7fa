// A node that kills itself with SIGKILL at the n-th write of its chain to LevelDB. Told what to do by one argument of
// JSON: { scenario: 'sync' | 'mine' | 'reorg' | 'steps' | 'rebuild', data, seed, upTo, at, moment: 'before' | 'during' | 'after' }. Says on stdout what it
// has announced, one JSON line each, written before anything else happens; ends with 0 when it came to its end unharmed.
import { writeSync } from 'node:fs'
import { ClassicLevel } from 'classic-level'

const { scenario, data, seed, upTo, at, moment } = JSON.parse(process.argv[2])
let writes = 0
let counting = scenario !== 'rebuild'

function die() {
  process.kill(process.pid, 'SIGKILL')
  // the signal is there at once or a moment later: nothing may happen in between
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** libp2p's datastore is a sublevel: its keys begin with an exclamation mark. */
function isOfChain(written) {
  const key = Array.isArray(written) ? written[0]?.key : written
  return !(key instanceof Uint8Array ? key[0] === 0x21 : String(key).startsWith('!'))
}

/** Does a write, unless it is the one that kills us. */
function counted(key, write) {
  if (!counting || !isOfChain(key) || ++writes !== at) return write()
  if (moment === 'before') die()
  const written = write()
  if (moment === 'during') die()
  return written.then(die)
}

// all sublevels write through these
for (const name of ['put', 'del', 'batch', 'clear']) {
  const write = ClassicLevel.prototype[name]
  ClassicLevel.prototype[name] = function (...args) {
    return name === 'batch' && args.length === 0
      ? chained(write.call(this))
      : counted(args[0], () => write.apply(this, args))
  }
}

/** A batch that is filled bit by bit counts when it is written. */
function chained(batch) {
  let first
  for (const name of ['put', 'del']) {
    const add = batch[name]
    batch[name] = (key, ...rest) => {
      first ??= key
      return add.call(batch, key, ...rest)
    }
  }
  const write = batch.write
  batch.write = (...args) => counted(first, () => write.apply(batch, args))
  return batch
}

const say = (event) => writeSync(1, `${JSON.stringify(event)}\n`)
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// only now, so that nothing has opened a database before; and libp2p, most of what starting takes, only for those that have a network
const { Chain } = await import('blockwire/chain')
const { growChain, buildChain, testRules } = await import('../../dist/src/testing/rules.js')
// the same as in crash.ts
const rules = testRules({ network: 'crash', state: { a: 'genesis' } })
/** Each writes one of three keys, or deletes it. */
const setTx = (n) => ({ kind: n % 5 === 4 ? 'del' : 'set', key: ['a', 'b', 'c'][n % 3], value: `${n}`, salt: n })

function tellHeads(chain) {
  chain.addEventListener('head', ({ detail: { height, hash } }) => say({ event: 'head', height, hash: hex(hash) }))
}

/** No network: a branch of 6 over one of 4, in the ways in which a head can move. */
async function reorg() {
  const db = new ClassicLevel(`${data}/db`, { keyEncoding: 'view', valueEncoding: 'view', compression: false })
  if (scenario === 'rebuild') return rebuild(db)
  const chain = new Chain({ rules, db, ...(scenario === 'steps' ? { stepBytes: 1 } : {}) })
  await chain.open()
  tellHeads(chain)
  const { genesis } = chain
  const first = await growChain(chain, 2, { txs: [setTx(1)] })
  await growChain(chain, 2, { txs: [setTx(2)] })
  const other = buildChain(rules, first[1], 4, (i) => ({ nonce: 7, txs: [setTx(10 + i)] }))
  await chain.addHeaders(other.slice(0, 2).map(({ headerBytes }) => headerBytes))
  for (const { bytes } of other.slice(1)) await chain.add(bytes)
  await chain.add(other[0].bytes)
  // refused by the state at its third block: what comes before it does not win either
  const bad = buildChain(rules, genesis, 8, (i) => ({
    nonce: 9,
    txs: [i === 2 ? { ...setTx(1), kind: 'fail' } : setTx(20)]
  }))
  for (const { bytes } of bad) await chain.add(bytes)
  await growChain(chain, 1, { txs: [setTx(3)] })
  await chain.close()
  await db.close()
}

/** A store of a lower state version is opened; what wrote it is not counted. */
async function rebuild(db) {
  const chain = new Chain({ rules, db })
  await chain.open()
  for (let i = 0; i < 8; i++) await growChain(chain, 1, { txs: [setTx(i)] })
  await chain.close()
  counting = true
  const newer = testRules({ network: 'crash', state: { a: 'genesis' }, stateVersion: 2 })
  const again = new Chain({ rules: newer, db, stepBytes: 1 })
  await again.open()
  await again.close()
  await db.close()
}

async function run() {
  if (['reorg', 'steps', 'rebuild'].includes(scenario)) return reorg()
  const { createNode } = await import('blockwire')
  const node = await createNode({
    rules,
    dataDir: data,
    seeds: [seed],
    ...(scenario === 'mine' ? { produce: producer() } : {})
  })
  tellHeads(node.chain)
  node.producer?.addEventListener('produced', ({ detail }) => {
    say({ event: 'mined', height: detail.height, hash: hex(detail.hash) })
  })
  await node.chain.waitFor(upTo)
  await node.stop()
}

function producer() {
  return {
    prefix: ({ height }) => [setTx(height)],
    seal: (draft) => {
      if (draft.height > upTo) return undefined
      const { minTime, parent, root } = draft
      return { header: { parent: parent.hash, root, time: Math.max(minTime, Date.now()), nonce: 1, weight: 1, bad: 0 } }
    }
  }
}

await run()
say({ event: 'end', writes })
