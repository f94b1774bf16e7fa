import { Chain, type Draft, type Located, merkleRoot, splitBlock, toHex, txId } from 'blockwire/chain'
import { growChain, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import type { TestChain } from './model.js'

const set = (key: string, value = key, salt = 0): TestTx => ({ kind: 'set', key, value, salt })

async function opened(rules = testRules()): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules })
  await chain.open()
  return chain
}

const header = ({ parent, root, minTime }: Draft<TestHeader, TestTx>, weight = 1): TestHeader => ({
  parent: parent.hash,
  root,
  time: Math.max(minTime, parent.header.time + 1),
  nonce: 0,
  weight,
  bad: 0
})

const stateText = async (chain: { get(key: Uint8Array): unknown }, key: string): Promise<string | undefined> => {
  const value = (await chain.get(new TextEncoder().encode(key))) as Uint8Array | undefined
  return value && new TextDecoder().decode(value)
}

describe('propose', () => {
  it('builds on head: the prefix, then each candidate that the state lets pass', async () => {
    const chain = await opened()
    const encode = (tx: TestTx) => chain.rules.tx.encode(tx)
    const txs = [
      encode({ ...set('name'), kind: 'once' }),
      encode({ ...set('name', 'again', 1), kind: 'once' }),
      encode({ ...set('x'), kind: 'fail' }),
      encode({ ...set('x'), kind: 'bad' }),
      encode({ ...set('x'), kind: 'throw' }),
      new Uint8Array([9, 9]),
      encode(set('y'))
    ]
    const seen: Draft<TestHeader, TestTx>[] = []
    const proposed = await chain.propose({
      prefix: ({ height, parent, header: none }) => {
        expect([height, parent, none]).toEqual([1, chain.genesis, undefined])
        return [set('reward')]
      },
      txs,
      seal: (draft) => {
        seen.push(draft)
        return { header: header(draft) }
      }
    })
    const expected = [encode(set('reward')), txs[0]!, txs[6]!]
    expect(proposed?.txs).toEqual(expected)
    expect(seen[0]).toMatchObject({
      height: 1,
      txs: 2,
      prefix: [set('reward')],
      minTime: chain.genesis.header.time + 1
    })
    expect(splitBlock(proposed!.bytes, chain.limits).txs).toEqual(expected)
    expect(proposed!.header.root).toEqual(merkleRoot(expected.map(txId)))
    expect(toHex(chain.head.hash)).toBe(toHex(proposed!.hash))
    expect(await stateText(chain.state, 'name')).toBe('name')
    expect(await stateText(chain.state, 'x')).toBe(undefined)
    await chain.close()
  })

  it('lets the seal put another prefix in', async () => {
    const chain = await opened()
    const txs = [chain.rules.tx.encode(set('t'))]
    const proposed = await chain.propose({
      prefix: () => [set('reward', '1')],
      txs,
      seal: (draft) => {
        const prefix = [set('reward', '2')]
        return { header: { ...header(draft), root: draft.rootWith(prefix) }, prefix }
      }
    })
    expect(proposed?.txs).toEqual([chain.rules.tx.encode(set('reward', '2')), ...txs])
    expect(await stateText(chain.state, 'reward')).toBe('2')
    await chain.close()
  })

  it('keeps to the byte limit and fills what room is left', async () => {
    const chain = await opened()
    const big = (salt: number) => chain.rules.tx.encode(set('k', 'x'.repeat(40_000), salt))
    const small = chain.rules.tx.encode(set('k', 'small'))
    const proposed = await chain.propose({
      txs: [big(1), big(2), big(3), small],
      maxBytes: 100_000,
      seal: (draft) => ({ header: header(draft) })
    })
    expect(proposed?.txs).toEqual([big(1), big(2), small])
    expect(proposed!.bytes.length).toBeLessThanOrEqual(100_000)
    const full = await chain.propose({
      txs: Array.from({ length: 60 }, (_, i) => big(i)),
      seal: (draft) => ({ header: header(draft) })
    })
    expect(full!.bytes.length).toBeLessThanOrEqual(chain.limits.blockBytes)
    expect(full!.bytes.length).toBeGreaterThan(chain.limits.blockBytes - 41_000)
    await chain.close()
  })

  it('gives up when the head moves, and lets the chain go on meanwhile', async () => {
    const chain = await opened()
    let aborted = false
    const proposed = await chain.propose({
      seal: async (draft, { signal }) => {
        const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        // the queue is free while we seal
        await growChain(chain, 1)
        await stopped
        aborted = true
        return { header: header(draft, 5) }
      }
    })
    expect(proposed).toBe(undefined)
    expect(aborted).toBe(true)
    expect(chain.head.work).toBe(2n)
    await chain.close()
  })

  it('gives up when the seal does, or the caller', async () => {
    const chain = await opened()
    expect(await chain.propose({ seal: () => undefined })).toBe(undefined)
    const abort = new AbortController()
    const proposing = chain.propose({
      signal: abort.signal,
      seal: (_draft, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
          abort.abort()
        })
    })
    expect(await proposing).toBe(undefined)
    expect(await chain.propose({ signal: abort.signal, seal: () => expect.unreachable() })).toBe(undefined)
    await expect(
      chain.propose({
        seal: () => {
          throw new Error('no key')
        }
      })
    ).rejects.toThrow('no key')
    expect(chain.head.height).toBe(0)
    await chain.close()
  })

  it('says by which rule our own block was refused', async () => {
    const rules = testRules()
    const chain = await opened(rules)
    const seal = (draft: Draft<TestHeader, TestTx>) => ({ header: { ...header(draft), bad: 1 } })
    await expect(chain.propose({ seal })).rejects.toMatchObject({ name: 'RefusedError', reason: 'header' })
    const fine = (draft: Draft<TestHeader, TestTx>) => ({ header: header(draft) })
    await expect(chain.propose({ prefix: () => [{ ...set('a'), kind: 'fail' }], seal: fine })).rejects.toMatchObject({
      name: 'RefusedError',
      reason: 'state'
    })
    rules.state!.end = () => ({ reject: 'never enough' })
    await expect(chain.propose({ seal: fine })).rejects.toThrow('never enough')
    expect(chain.head.height).toBe(0)
    await chain.close()
  })

  it('runs begin and end as an import does', async () => {
    const rules = testRules()
    const calls: string[] = []
    rules.state!.begin = ({ height, header: sealed }) => {
      calls.push(`begin ${height} ${sealed != null}`)
      return true
    }
    rules.state!.end = (_ctx, db) => {
      calls.push('end')
      db.put(new TextEncoder().encode('ended'), new TextEncoder().encode('yes'))
      return true
    }
    const chain = await opened(rules)
    await chain.propose({ seal: (draft) => ({ header: header(draft) }) })
    expect(calls).toEqual(['begin 1 false', 'end', 'begin 1 true', 'end'])
    expect(await stateText(chain.state, 'ended')).toBe('yes')
    await chain.close()
  })
})

describe('a scratch', () => {
  it('sees what was admitted before, leaves no trace of what was not, and none in the chain', async () => {
    const rules = testRules({ state: { taken: 'x' }, slow: true })
    const chain = await opened(rules)
    const scratch = await chain.scratch()
    const admit = (tx: TestTx) => scratch.admit(tx, rules.tx.encode(tx))
    expect(scratch.head).toBe(chain.head as Located<unknown>)
    const answers = await Promise.all([
      admit({ ...set('a'), kind: 'once' }),
      admit({ ...set('a'), kind: 'once' }),
      admit({ ...set('taken'), kind: 'once' }),
      admit({ ...set('b'), kind: 'fail' }),
      admit({ ...set('b'), kind: 'once' })
    ])
    expect(answers.map((answer) => answer === true)).toEqual([true, false, false, false, true])
    expect(await admit({ ...set('b'), kind: 'throw' })).toHaveProperty('ignore')
    expect(await stateText(scratch.state, 'b')).toBe('b')
    expect(await stateText(chain.state, 'a')).toBe(undefined)
    await growChain(chain, 1)
    expect(await admit(set('c'))).toEqual({ ignore: 'the head moved' })
    await chain.close()
  })

  it('asks admit first', async () => {
    const rules = testRules()
    rules.state!.admit = (tx) => tx.key !== 'no' || { reject: 'not that' }
    const chain = await opened(rules)
    const scratch = await chain.scratch()
    expect(await scratch.admit(set('no'), rules.tx.encode(set('no')))).toEqual({ reject: 'not that' })
    expect(await scratch.admit(set('yes'), rules.tx.encode(set('yes')))).toBe(true)
    await chain.close()
  })
})
