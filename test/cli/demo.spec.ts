import { describe, expect, it } from 'vitest'
import { resultLines, table } from '../../dist/examples/demo/board.js'
import { sharedHead, Tally } from '../../dist/examples/demo/tally.js'

const head = (height: number, hash: string, miner: string) =>
  ({ event: 'head', height, hash, miner, work: '1', txs: 1, own: false, blocks: 1 }) as const

describe('the tally of the demo', () => {
  it('counts the blocks of the chain that won, not those that lost', () => {
    const tally = new Tally()
    tally.note('ada', head(1, 'a1', 'ada'))
    tally.note('ada', head(2, 'a2', 'ada'))
    tally.note('ada', { event: 'reorg', from: 'a2', to: 'b3', common: 'a1', depth: 1 })
    tally.note('ada', head(3, 'b3', 'bob'))
    tally.note('bob', head(2, 'b2', 'bob'))
    tally.note('bob', head(3, 'b3', 'bob'))
    expect(tally.wins(3)).toEqual({ ada: 1, bob: 2 })
    expect(tally.wins(3, 2)).toEqual({ bob: 2 })
  })

  it('takes a height that no head told from the one block that was mined there', () => {
    const tally = new Tally()
    tally.note('ada', { event: 'mined', height: 1, hash: 'a1' })
    tally.note('cho', head(2, 'a2', 'ada'))
    expect(tally.wins(3)).toEqual({ ada: 2, unknown: 1 })
  })

  it('knows a shared head', () => {
    expect(
      sharedHead([
        { height: 1, hash: 'a' },
        { height: 1, hash: 'a' }
      ])
    ).toEqual({ height: 1, hash: 'a' })
    expect(
      sharedHead([
        { height: 1, hash: 'a' },
        { height: 1, hash: 'b' }
      ])
    ).toBeUndefined()
    expect(sharedHead([{ height: 1, hash: 'a' }, undefined])).toBeUndefined()
    expect(sharedHead([])).toBeUndefined()
  })
})

describe('the board of the demo', () => {
  const rows = [
    { name: 'ada', state: 'live', head: { height: 1200, hash: '00003fa9c1' }, mined: 7, peers: 3 },
    { name: 'bob', state: 'headers', head: undefined, mined: 0, peers: 1 }
  ]

  it('shows each node in a row', () => {
    expect(table(rows, false).split('\n')).toEqual([
      'node   state     head             mined  peers',
      'ada    live      #1,200 3fa9c1        7      3',
      'bob    headers   #0                   0      1'
    ])
    expect(table(rows, true)).toContain('\u001b[')
  })

  it('says who won, or how they differ', () => {
    const same = rows.map((row) => ({ ...row, head: rows[0]!.head }))
    expect(resultLines({ agreed: true, rows: same, wins: { bob: 2, ada: 5 } })).toEqual([
      'agreed: 2 nodes share #1,200 3fa9c1',
      'wins: ada 5, bob 2'
    ])
    expect(resultLines({ agreed: false, rows, wins: {} })).toEqual(['not agreed: ada #1,200 3fa9c1, bob #0'])
  })
})
