// A node that syncs until it has a height, or kills itself with SIGKILL on the way. Told what to do by one argument of JSON:
// { data, seed, upTo, log, die: { at: 'headers' | 'blocks', count, ms } }: `ms` after so many pages of headers, or blocks, were verified;
// 0: at that very instant, in the middle of what it does. Says on stdout where it stands. Appends to the file `log` what it does, each number as 4 bytes: a zero and the height at which its
// store opened, then the height of every block that it verifies. What is appended outlives the process.
import { openSync, writeSync } from 'node:fs'
import { createNode } from 'blockwire'
import { Chain } from 'blockwire/chain'
import { testRules } from 'blockwire/testing'

const { data, seed, upTo, log, die } = JSON.parse(process.argv[2])
const file = openSync(log, 'a')
const say = (event) => writeSync(1, `${JSON.stringify(event)}\n`)
const record = (...numbers) => writeSync(file, Buffer.from(Uint32Array.from(numbers).buffer))

function kill() {
  process.kill(process.pid, 'SIGKILL')
  // the signal is there at once or a moment later: nothing may happen in between
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
const done = { headers: 0, blocks: 0 }
function count(what) {
  if (++done[what] !== die?.count || what !== die.at) return
  if (die.ms === 0) kill()
  setTimeout(kill, die.ms)
}

// the same as in resume.spec.ts, but for the log
const rules = testRules({ network: 'resume' })
const { applyTx } = rules.state
rules.state.applyTx = (tx, ctx, db) => {
  record(ctx.height)
  count('blocks')
  return applyTx(tx, ctx, db)
}

const open = Chain.prototype.open
Chain.prototype.open = async function () {
  const before = this.report
  await open.call(this)
  // services open it again, which does nothing
  if (this.report === before) return
  record(0, this.report.height)
  say({ event: 'open', height: this.report.height, repaired: this.report.repaired })
}
const addHeaders = Chain.prototype.addHeaders
Chain.prototype.addHeaders = async function (headers) {
  const result = await addHeaders.call(this, headers)
  say({ event: 'headers', again: headers.length - result.added })
  count('headers')
  return result
}

const node = await createNode({ rules, dataDir: data, seeds: [seed] })
const { hash } = await node.chain.waitFor(upTo)
say({ event: 'synced', hash: Buffer.from(hash).toString('hex') })
await node.stop()
