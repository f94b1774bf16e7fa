import { Socket } from 'node:net'
import { createNode, type Node } from 'blockwire'
import { until } from 'blockwire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type TestHeader, type TestTx, testRules } from '../../dist/src/testing/rules.js'

// Over real sockets: what they are given to send is counted below encryption and muxer, all other protocols included.

const COUNT = 10_000
const rules = testRules({ genesisTime: Date.now() - 60_000 })
const tx = (n: number): TestTx => ({ kind: 'set', key: `${n}`, value: 'x'.repeat(180), salt: n })

let sent = 0
const { write } = Socket.prototype
const nodes: Node<TestHeader, TestTx>[] = []

beforeEach(() => {
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>) {
    sent += (args[0] as unknown as Uint8Array).byteLength
    return write.apply(this, args)
  } as typeof write
})
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
  Socket.prototype.write = write
})

/** A node of its own with these pending, which nobody brought together with others yet. */
async function node(from: number, to: number): Promise<Node<TestHeader, TestTx>> {
  const made = await createNode({ rules, peers: { target: 0 } })
  nodes.push(made)
  for (let n = from; n < to; n += 1_000) {
    const txs = Array.from({ length: Math.min(1_000, to - n) }, (_, i) => tx(n + i))
    for (const { verdict } of await made.pool.add(txs)) expect(verdict).toEqual({ result: 'accept' })
  }
  return made
}

/** Brings two together. Answers what it took until both have as many, and the bytes until both are quiet. */
async function meet(
  a: Node<TestHeader, TestTx>,
  b: Node<TestHeader, TestTx>,
  count: number
): Promise<{ ms: number; cpu: number; bytes: number }> {
  const before = sent
  const begin = performance.now()
  const used = process.cpuUsage()
  await a.libp2p.dial(b.libp2p.getMultiaddrs())
  await until('both pools', () => a.pool.size === count && b.pool.size === count, 60_000)
  const ms = performance.now() - begin
  const { user, system } = process.cpuUsage(used)
  let last = -1
  // nothing but pings and heartbeats
  await until('silence', () => {
    const quiet = sent - last < 100
    last = sent
    return quiet
  })
  return { ms: Math.round(ms), cpu: Math.round((user + system) / 1_000), bytes: sent - before }
}

describe('what is pending', () => {
  it('10,000 of them are at a newcomer soon', async () => {
    const [old, newcomer] = [await node(0, COUNT), await node(0, 0)]
    const { ms, cpu, bytes } = await meet(newcomer, old, COUNT)
    console.log(`a newcomer had ${COUNT} transactions after ${ms} ms (CPU ${cpu}), ${bytes} B`)
    // of both nodes together; the time says what else the machine does
    expect(cpu).toBeLessThan(5_000)
    expect(bytes).toBeLessThan(1.2 * old.pool.bytes + 150_000)
  })

  it('two pools that differ in ten of 10,000 exchange little', async () => {
    const [a, b] = [await node(0, COUNT), await node(10, COUNT + 10)]
    const { ms, cpu, bytes } = await meet(a, b, COUNT + 10)
    console.log(`two pools were the same after ${ms} ms (CPU ${cpu}), ${bytes} B`)
    expect(bytes).toBeLessThan(150_000)
  })
})
