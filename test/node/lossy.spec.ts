import type { Connection } from '@libp2p/interface'
import { createNetwork, growChain, HandClock, testRules, until } from 'blockwire/testing'
import { expect, test } from 'vitest'
import { dice } from '../helpers/dice.js'

const LOSS = 0.3
const MINUTES = 10

test('honest nodes behind a link that loses 30 % for ten minutes are never banned, and are together again when it is whole', async () => {
  const clock = new HandClock()
  const random = dice(7)
  let isLossy = true
  const isLost = (): boolean => isLossy && random() < LOSS
  const open = new Set<Connection>()
  const network = await createNetwork({
    rules: testRules(),
    nodes: 3,
    shape: 'star',
    clock,
    // dials that lead nowhere
    node: () => ({ libp2p: { connectionGater: { denyOutboundConnection: isLost } } })
  })
  await using _ = network
  const { nodes } = network
  for (const { libp2p } of nodes) {
    libp2p.addEventListener('connection:open', ({ detail: connection }) => {
      open.add(connection)
      const newStream = connection.newStream.bind(connection)
      // streams that break as soon as they are open: pings, hellos, questions, downloads
      connection.newStream = async (protocols, options) => {
        const stream = await newStream(protocols, options)
        if (isLost()) stream.abort(new Error('lost on the way'))
        return stream
      }
    })
    libp2p.addEventListener('connection:close', ({ detail }) => void open.delete(detail))
  }
  const bans = (): string[] =>
    nodes.flatMap(({ peers }) => peers.bans().map(({ what, reason }) => `${what}: ${reason}`))
  let joins = 0
  for (const { peers } of nodes) peers.addEventListener('join', () => void joins++)
  for (let second = 0; second < MINUTES * 60; second++) {
    clock.turn(1000)
    if (second % 10 === 0) {
      // whole connections that break
      for (const connection of open) if (isLost()) connection.abort(new Error('lost on the way'))
      await growChain(nodes[second % 3]!.chain, 1, { nonce: second })
    }
    await new Promise((resolve) => setImmediate(resolve))
    // the clock is faster than the network: now and then what was dialled may come to its end
    if (second % 30 === 0)
      await until('the dials to end', () => nodes.every(({ libp2p }) => !libp2p.getDialQueue().length))
    expect(bans()).toEqual([])
  }
  expect(joins, 'nothing was lost, so that nothing was tested').toBeGreaterThan(20)
  isLossy = false
  await until(
    'everyone to have a neighbour again',
    () => {
      clock.turn(100)
      // three nodes, each with a neighbour, are one network; the third link may have to wait for five minutes
      return nodes.every(({ peers }) => peers.connected.size > 0)
    },
    20_000
  )
  const [heavy] = await growChain(nodes[0]!.chain, 1, { weight: 60_000, nonce: 1 })
  await until(
    'the heavy block to be the head of all',
    () => {
      clock.turn(100)
      return nodes.every(({ chain }) => chain.head.work === heavy!.work)
    },
    20_000
  )
  expect(bans()).toEqual([])
  expect(nodes.flatMap(({ peers }) => peers.explain()).map(({ fault }) => fault?.fault)).not.toContain('provable')
}, 180_000)
