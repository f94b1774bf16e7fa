import { describe, expect, it } from 'vitest'
import { StatusMessage } from '../../dist/src/pb/status.js'
import { cleanText } from '../../dist/src/status/goodbye.js'
import { difference, headMessage, helloOf, readHead, readHello } from '../../dist/src/status/hello.js'
import { FakeChain } from './chain.js'

const roundTrip = (chain: FakeChain, role: 'full' | 'light' | 'seed' = 'full', lowest = 0) =>
  readHello(StatusMessage.decode(StatusMessage.encode({ hello: helloOf(chain, role, lowest) })).hello!)

describe('hello', () => {
  it('says all of a chain', () => {
    const chain = new FakeChain({ forks: [50, 500] })
    expect(roundTrip(chain, 'light', 7)).toMatchObject({
      version: 1,
      network: 'hello',
      genesis: chain.genesis.hash,
      fork: { next: 500 },
      params: { blockTime: '10000', reward: '"50"' },
      role: 'light',
      lowest: 7,
      head: { hash: chain.head.hash, height: 100, work: 1_000n }
    })
  })

  it('has no head from a seed', () => {
    expect(roundTrip(new FakeChain(), 'seed').head).toBeUndefined()
  })

  it.each([0n, 1n, 255n, 256n, 2n ** 256n - 1n])('carries work of %s in as few bytes as it needs', (work) => {
    const message = headMessage({ hash: new Uint8Array(32), height: 1, work })
    expect(message.work[0]).not.toBe(0)
    expect(readHead(message).work).toBe(work)
  })

  it('tells an index of transactions, of full nodes only', () => {
    const chain = new FakeChain({ txIndex: true })
    expect(roundTrip(chain, 'full').txIndex).toBe(true)
    expect([roundTrip(chain, 'light').txIndex, roundTrip(chain, 'seed').txIndex]).toEqual([false, false])
    expect(roundTrip(new FakeChain()).txIndex).toBe(false)
  })

  it('ignores features of later versions', () => {
    const hello = helloOf(new FakeChain(), 'full', 0)
    expect(readHello({ ...hello, features: 0xffff_fffe }).txIndex).toBe(false)
    expect(readHello({ ...hello, features: 0xffff_ffff }).txIndex).toBe(true)
  })

  it('takes a role of a later version for one that serves nothing', () => {
    expect(readHello({ ...helloOf(new FakeChain(), 'full', 0), role: 9 }).role).toBe('light')
  })

  it.each([
    ['network', { network: 'Hello' }],
    ['empty network', { network: '' }],
    ['genesis', { genesis: new Uint8Array(31) }],
    ['fork', { forkHash: new Uint8Array(3) }],
    ['number of params', { params: Array.from({ length: 17 }, (_, i) => ({ name: `${i}`, value: '' })) }],
    ['size of params', { params: [{ name: 'a', value: 'é'.repeat(600) }] }],
    ['head hash', { head: { hash: new Uint8Array(33), height: 1, work: new Uint8Array() } }],
    ['work with a leading zero', { head: { hash: new Uint8Array(32), height: 1, work: Uint8Array.of(0, 1) } }],
    ['too much work', { head: { hash: new Uint8Array(32), height: 1, work: new Uint8Array(33).fill(1) } }]
  ])('is malformed by its %s', (_name, wrong) => {
    const hello = { ...helloOf(new FakeChain(), 'full', 0), ...wrong }
    expect(() => readHello(hello)).toThrow(expect.objectContaining({ name: 'MalformedError', fault: 'protocol' }))
  })
})

describe('difference', () => {
  const ours = new FakeChain({ forks: [50] })
  const to = (theirs: FakeChain) => difference(ours, roundTrip(theirs))

  it('finds none in the same chain, wherever it stands', () => {
    expect(to(new FakeChain({ forks: [50], head: { ...ours.head, height: 3 } }))).toBeUndefined()
  })

  it('names the network first', () => {
    const other = new FakeChain({ network: 'bye', genesis: { hash: new Uint8Array(32) }, params: {} })
    expect(to(other)).toEqual({ code: 'network', field: 'network', ours: 'hello', theirs: 'bye' })
  })

  it('names the param that makes the genesis another', () => {
    const genesis = { hash: new Uint8Array(32) }
    expect(to(new FakeChain({ genesis, params: { ...ours.params, blockTime: 5_000 } }))).toEqual({
      code: 'genesis',
      field: 'params.blockTime',
      ours: '10000',
      theirs: '5000'
    })
    expect(to(new FakeChain({ genesis, params: { ...ours.params, constructor: 1 } }))).toMatchObject({
      field: 'params.constructor',
      ours: 'none',
      theirs: '1'
    })
    expect(to(new FakeChain({ genesis, params: { blockTime: 10_000 } }))).toMatchObject({
      field: 'params.reward',
      ours: '"50"',
      theirs: 'none'
    })
  })

  it('names the genesis where no param differs', () => {
    expect(to(new FakeChain({ genesis: { hash: new Uint8Array(32) } }))).toEqual({
      code: 'genesis',
      field: 'genesis',
      ours: '09'.repeat(32),
      theirs: '00'.repeat(32)
    })
  })

  it('names the fork', () => {
    expect(to(new FakeChain({ forks: [60] }))).toMatchObject({
      code: 'fork',
      field: 'fork',
      ours: expect.stringMatching(/^[0-9a-f]{8}, next none$/)
    })
  })
})

describe('text from strangers', () => {
  it('loses what could harm a terminal', () => {
    expect(cleanText('a\u001b[2J\u202eb\n')).toBe('a?[2J?b?')
  })

  it('is cut at whole characters', () => {
    expect(cleanText('ééé', 5)).toBe('éé')
    expect(cleanText('x'.repeat(300))).toHaveLength(256)
  })
})
