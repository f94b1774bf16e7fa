import { createNode } from 'blockwire'
import { coin, ed25519, miner } from 'blockwire/pow'

const rules = coin({ network: 'hello', blockTime: 1_000 }) // same rules, same genesis, same network
const { publicKey } = ed25519.generate() // who gets the rewards
const alice = await createNode({ rules, produce: miner({ rules, to: publicKey, threads: 1 }) })
const bob = await createNode({ rules, seeds: alice.multiaddrs }) // over TCP on this computer

for (const height of [1, 2, 3]) {
  await bob.chain.waitFor(height)
  console.log(`bob has #${height}`)
}
alice.producer?.halt()
const { height } = alice.chain.head
await bob.chain.waitFor(height) // bob checked every block himself
console.log(bob.chain.hashAt(height)?.join() === alice.chain.hashAt(height)?.join()) // true
await Promise.all([alice.stop(), bob.stop()])
