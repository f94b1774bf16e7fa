// A node in a process of its own that submits transactions and mines them, until it is killed: pool-program.mjs <data> <run>. Says on stdout
// which were accepted, one JSON line each. Nothing but the pool keeps these transactions from being mined twice.
import { createNode } from 'blockwire'
import { testRules } from 'blockwire/testing'

const [data, run] = process.argv.slice(2)
const node = await createNode({
  rules: testRules({ network: 'pool-kill' }),
  dataDir: data,
  produce: {
    aloneMs: 0,
    when: (parent) => parent.header.time + 40,
    seal: ({ header }) => ({ header: { ...header, nonce: 0, weight: 1, bad: 0 } })
  }
})
for (let n = 0; ; n++) {
  const keys = Array.from({ length: 1 + (n % 5) }, (_, i) => `${run} ${n} ${i}`)
  const added = await node.pool.add(keys.map((key) => ({ kind: 'set', key, value: 'x', salt: 0 })))
  const accepted = keys.filter((_, i) => added[i].verdict.result === 'accept')
  console.log(JSON.stringify({ event: 'accepted', keys: accepted }))
  await new Promise((resolve) => setTimeout(resolve, 5))
}
