/** `npm run example -- authority`: three validators on this computer, a transfer, and a validator that leaves. */
import { ed25519 } from 'blockwire/ed25519'
import { accounts, start, transfer } from './index.js'

const [ada, bob, cho] = [ed25519.generate(), ed25519.generate(), ed25519.generate()]
const names = ['ada', 'bob', 'cho']
const validators = [ada.publicKey, bob.publicKey, cho.publicKey]
const money = new Map([[ada.publicKey, 100n]])

const first = await start(validators, money, ada)
const second = await start(validators, money, bob, first.multiaddrs)
const third = await start(validators, money, cho, first.multiaddrs)
second.chain.addEventListener('block', ({ detail: { height, header, txs } }) => {
  console.log(`#${height} signed by ${names[header.signer]}${txs > 0 ? `, transfers: ${txs}` : ''}`)
})
await second.chain.waitFor(3)

const payment = { from: ada.publicKey, to: bob.publicKey, amount: 30n, seq: 0 }
const { verdict, handle } = await third.pool.add(transfer.sign(payment, ada.secretKey, third.chain.genesis.hash))
console.log(`ada pays bob 30, said to cho: ${verdict.result}`)
await handle?.included()

await third.stop()
console.log('cho leaves')
await second.chain.waitFor(second.chain.head.height + 3)
for (const [place, address] of validators.entries()) {
  const { balance } = await accounts.get(second.chain.state, address)
  console.log(`${names[place]} has ${balance}`)
}
await Promise.all([first.stop(), second.stop()])
