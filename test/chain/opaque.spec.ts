import {
  type BaseHeader,
  bytes,
  Chain,
  encodeBlock,
  merkleRoot,
  opaque,
  type Rules,
  struct,
  txId,
  u53
} from 'blockwire/chain'
import { afterEach, describe, expect, it } from 'vitest'

const header = struct({ parent: bytes(32), root: bytes(32), time: u53 })
const rules: Rules<BaseHeader, Uint8Array> = {
  network: 'opaque',
  genesis: { header: { time: 1_000 } },
  header,
  tx: opaque,
  limits: { txBytes: 20_000 }
}
const txs = [Uint8Array.of(1), new Uint8Array(250).fill(2), new Uint8Array(17_000).fill(3)]

const chains: Array<Chain<BaseHeader, Uint8Array>> = []
async function open(given = rules): Promise<Chain<BaseHeader, Uint8Array>> {
  const chain = new Chain({ rules: given })
  chains.push(chain)
  await chain.open()
  return chain
}
function blockOn(chain: Chain<BaseHeader, Uint8Array>, root: Uint8Array, list: Uint8Array[]): Uint8Array {
  const { hash, header: before } = chain.head
  return encodeBlock(header.encode({ parent: hash, root, time: before.time + 1_000 }), list)
}

describe('transactions that are just bytes', () => {
  afterEach(async () => {
    await Promise.all(chains.splice(0).map((chain) => chain.close()))
  })

  it('are taken whatever they are, alone and in bulk', async () => {
    const chain = await open()
    const good = blockOn(chain, merkleRoot(txs.map(txId)), txs)
    expect(chain.check(good)).toMatchObject({ verdict: { result: 'accept' }, txs })
    expect(await chain.add(good)).toMatchObject({ result: 'accept' })
    const counts: number[] = []
    chain.addEventListener('block', ({ detail }) => counts.push(detail.txs))
    const next = blockOn(chain, merkleRoot(txs.map(txId)), txs)
    expect(await chain.addBlocks([next])).toMatchObject({ verdict: { result: 'accept' }, added: 1 })
    expect(counts).toEqual([3])
  })

  it('are still what the header commits to, and within their limits', async () => {
    const chain = await open()
    const root = merkleRoot(txs.map(txId))
    expect(await chain.add(blockOn(chain, root, txs.slice(1)))).toMatchObject({ result: 'reject', reason: 'root' })
    const bulk = await chain.addBlocks([blockOn(chain, root, txs.slice(1))])
    expect(bulk).toMatchObject({ verdict: { result: 'reject', reason: 'root' }, added: 0 })
    const large = [new Uint8Array(20_001)]
    const over = blockOn(chain, merkleRoot(large.map(txId)), large)
    expect(await chain.add(over)).toMatchObject({ result: 'reject', reason: 'too-large' })
    const none = blockOn(chain, merkleRoot([txId(new Uint8Array(0))]), [new Uint8Array(0)])
    expect(await chain.add(none)).toMatchObject({ result: 'reject', reason: 'malformed' })
  })

  it('are checked where there is something to check', async () => {
    const chain = await open({ ...rules, checkTx: (tx) => tx[0] !== 2 || { reject: 'begins with 2' } })
    const block = blockOn(chain, merkleRoot(txs.map(txId)), txs)
    expect(await chain.add(block)).toMatchObject({ result: 'reject', reason: 'tx' })
  })
})
