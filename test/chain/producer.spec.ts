import type { ComponentLogger } from '@libp2p/interface'
import { type Ancestors, Chain, type Producer, type ProducerInit, producer } from 'blockwire/chain'
import { growChain, HandClock, type TestHeader, type TestTx, testRules, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import type { TestChain } from './model.js'

const START = 1_800_000_000_000
const GENESIS_TIME = testRules().genesis.header.time
const silent = Object.assign(() => {}, { error: () => {}, trace: () => {}, enabled: false })
const logger = { forComponent: () => silent } as unknown as ComponentLogger

type Life = Producer<TestHeader> & Record<'start' | 'afterStart' | 'beforeStop' | 'stop', () => void>

const running: Array<{ service: Life; chain: TestChain }> = []

afterEach(async () => {
  for (const { service, chain } of running.splice(0)) {
    service.beforeStop()
    service.stop()
    await chain.close()
  }
})

/** A producer without siblings: it works alone. */
async function produce(init: Partial<ProducerInit<TestHeader, TestTx>>, start = START) {
  const clock = new HandClock(start)
  const chain: TestChain = new Chain({ rules: testRules(), clock })
  await chain.open()
  const service = producer<TestHeader, TestTx>({
    seal: ({ header }) => ({ header: { ...header, nonce: 1, weight: 1, bad: 0 } }),
    clock,
    ...init
  })({ chain, logger }) as Life
  running.push({ service, chain })
  service.start()
  service.afterStart()
  return { chain, clock, service }
}

describe('a producer that finds no peer', () => {
  it('works alone on a chain with minimumWork, and not on one with less', async () => {
    const sync = Object.assign(new EventTarget(), { state: 'no-peers' })
    const start = async (minimumWork: bigint) => {
      const clock = new HandClock(START)
      const chain: TestChain = new Chain({ rules: testRules({ minimumWork }), clock })
      await chain.open()
      const service = producer<TestHeader, TestTx>({
        seal: ({ header }) => ({ header: { ...header, nonce: 1, weight: 1, bad: 0 } }),
        aloneMs: 0,
        clock
      })({ chain, logger, sync } as never) as Life
      running.push({ service, chain })
      service.start()
      service.afterStart()
      return { chain, service }
    }
    const few = await start(100n)
    const enough = await start(1n)
    await enough.chain.waitFor(2)
    expect(few.chain.head.height).toBe(0)
    await growChain(few.chain, 99)
    // a new head wakes it
    await few.chain.waitFor(101)
  })
})

describe('the producer', () => {
  it('asks when for each head, with the blocks before, and waits until then', async () => {
    const asked: Ancestors<TestHeader>[] = []
    const { chain, clock } = await produce({
      when(parent, ancestors) {
        expect(ancestors.parent).toBe(parent)
        asked.push(ancestors)
        return START + 1_000 * (parent.height + 1)
      }
    })
    expect(clock.due).toEqual([1_000])
    clock.turn(999)
    expect(chain.head.height).toBe(0)
    clock.turn(1)
    await chain.waitFor(1)
    clock.turn(1_000)
    await chain.waitFor(2)
    expect(chain.head.header.time).toBe(START + 2_000)
    expect(
      asked
        .at(-1)!
        .last(3)
        .map(({ height }) => height)
    ).toEqual([2, 1, 0])
    expect(asked.at(-1)!.last(1.5)).toEqual([chain.head])
    expect(() => asked.at(-1)!.last(17)).toThrow(RangeError)
    expect(chain.ancestors.parent).toBe(chain.head)
  })

  it.each([undefined, Number.POSITIVE_INFINITY])(
    'leaves a parent to others when told %s, until the head moves',
    async (never) => {
      const { chain, clock } = await produce({ when: ({ height }) => (height === 0 ? never : START) })
      expect(clock.pending).toBe(0)
      await growChain(chain, 1)
      await chain.waitFor(2)
    }
  )

  it('waits for a time that no timer can hold', async () => {
    const far = START + 2 ** 32
    const { chain, clock } = await produce({ when: ({ height }) => (height === 0 ? far : undefined) })
    expect(clock.due).toEqual([3_600_000])
    clock.turn(far - START - 1)
    expect(chain.head.height).toBe(0)
    clock.turn(1)
    await chain.waitFor(1)
  })

  it('gives the seal a header with parent, root, height and a time that the rules let pass', async () => {
    // the clock is behind the chain: the least time counts
    const { chain } = await produce({ when: ({ height }) => (height < 3 ? 0 : undefined) }, GENESIS_TIME - 5_000)
    await chain.waitFor(3)
    const times = [1, 2, 3].map((height) => chain.locate(chain.hashAt(height)!)!.header.time - GENESIS_TIME)
    expect(times).toEqual([1, 2, 2])
  })

  it('says what its own code throws, and tries again after a second', async () => {
    let broken = true
    const errors: string[] = []
    const { chain, clock, service } = await produce({
      when() {
        if (broken) throw new Error('not yet')
        return chain.head.height === 0 ? START : undefined
      },
      autoStart: false
    })
    service.addEventListener('error', ({ detail }) => errors.push(detail.message))
    service.run()
    expect(errors).toEqual(['not yet'])
    broken = false
    clock.turn(1_000)
    await chain.waitFor(1)
    await until('quiet', () => clock.pending === 0)
    service.halt()
    expect(service.running).toBe(false)
  })
})
