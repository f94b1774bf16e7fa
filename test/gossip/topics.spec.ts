import type { Topic, TopicMessage, TopicOptions } from 'blockwire/gossip'
import { describe, expect, it } from 'vitest'
import { ACCEPT, ignore, reject, type Verdict } from '../../dist/src/chain/verdict.js'
import { bytes, changed, type Host, host, line, meshed, text, until } from './hosts.js'

interface Member extends Host {
  topic: Topic
  got: string[]
}

async function member(
  options: Partial<TopicOptions> = {},
  init: Parameters<typeof host>[0] = {},
  name = 'news'
): Promise<Member> {
  const made = await host(init)
  const topic = made.gossip.topic(name, { maxBytes: 65_536, ...options })
  const got: string[] = []
  topic.addEventListener('message', ({ detail }) => {
    got.push(text(detail.data).slice(0, 40))
    changed()
  })
  return { ...made, topic, got }
}

/** A validator that does what the message says. */
function obey({ data }: TopicMessage): Verdict {
  const said = text(data)
  if (said.startsWith('reject')) return reject('malformed', said)
  if (said.startsWith('ignore')) return ignore('rule', said)
  if (said.startsWith('throw')) throw new Error('a validator with a fault')
  return ACCEPT
}

describe.each(['memory', 'tcp'] as const)('a topic over %s', (transport) => {
  it('travels two hops when accepted, one when ignored or rejected; only the rejected is charged', async () => {
    const [a, b, c] = [
      await member({}, { transport }),
      await member({ validate: obey }, { transport }),
      await member({}, { transport })
    ]
    await line(a, b, c)
    await meshed('news', a, b, c)
    for (const message of ['ignore this', 'reject this', 'throw at this', 'accept this'])
      await a.topic.publish(bytes(message))
    await until('c to get what b accepted', () => c.got.length > 0)
    expect(b.got).toEqual(['accept this'])
    expect(c.got).toEqual(['accept this'])
    expect(b.judge.results).toEqual(['ignore rule', 'reject malformed', 'ignore error', 'accept'])
    expect(new Set(b.judge.verdicts.map(({ peer }) => peer))).toEqual(new Set([a.libp2p.peerId.toString()]))
    expect(b.judge.heardOf).toContain(a.libp2p.peerId.toString())
  })
})

describe('a topic', () => {
  it('without a validator travels two hops, also one that an app subscribed by itself', async () => {
    const [a, b, c] = [await member(), await member(), await member()]
    const got: string[] = []
    for (const { gossip } of [a, b, c]) gossip.pubsub.subscribe('raw')
    c.gossip.pubsub.addEventListener('message', ({ detail }) => {
      if (detail.topic === 'raw') got.push(text(detail.data))
      changed()
    })
    await line(a, b, c)
    await meshed('news', a, b, c)
    await until('a mesh on raw', () =>
      [a, b, c].every(({ gossip }) => gossip.links().every(({ mesh }) => mesh.includes('raw')))
    )
    await a.topic.publish(bytes('hello'))
    await a.gossip.pubsub.publish('raw', bytes('hello raw'))
    await until('c to get both', () => c.got.length > 0 && got.length > 0)
    expect([c.got, got]).toEqual([['hello'], ['hello raw']])
  })

  it('carries the same bytes as another', async () => {
    const [a, b] = [await member(), await member()]
    const others = [a, b].map(({ gossip }) => gossip.topic('other', { maxBytes: 100 }))
    const got: string[] = []
    others[1]!.addEventListener('message', ({ detail }) => {
      got.push(detail.topic)
      changed()
    })
    await line(a, b)
    await meshed('news', a, b)
    await meshed('other', a, b)
    await a.topic.publish(bytes('same'))
    await others[0]!.publish(bytes('same'))
    await until('both to come', () => b.got.length > 0 && got.length > 0)
    expect([b.got, got]).toEqual([['same'], ['/blockwire/test-00000000/other/1']])
  })

  it('forwards when a later verdict accepts, and nothing before', async () => {
    const verdict = Promise.withResolvers<Verdict>()
    let asked = false
    const slow = (): Promise<Verdict> => {
      asked = true
      changed()
      return verdict.promise
    }
    const [a, b, c] = [await member(), await member({ validate: slow }), await member()]
    await line(a, b, c)
    await meshed('news', a, b, c)
    await a.topic.publish(bytes('wait for it'))
    await until('b to be asked', () => asked)
    expect([b.got, c.got]).toEqual([[], []])
    verdict.resolve(ACCEPT)
    await until('c to get it', () => c.got.length > 0)
    expect(c.got).toEqual(['wait for it'])
  })

  it('gives up on a verdict after 25 s', async () => {
    const { HandClock } = await import('blockwire/testing')
    const clock = new HandClock()
    const signals: AbortSignal[] = []
    const never = (_: TopicMessage, { signal }: { signal: AbortSignal }): Promise<Verdict> => {
      signals.push(signal)
      changed()
      return new Promise(() => {})
    }
    const [a, b] = [await member(), await member({ validate: never }, { gossip: { clock } })]
    await line(a, b)
    await meshed('news', a, b)
    await a.topic.publish(bytes('anybody there'))
    await until('b to be asked', () => signals.length === 1)
    clock.turn(24_999)
    expect(b.judge.results).toEqual([])
    clock.turn(1)
    expect(b.judge.results).toEqual(['ignore error'])
    expect(signals[0]!.aborted).toBe(true)
  })

  it('bounds what waits for a verdict, per peer', async () => {
    let asked = 0
    const never = (): Promise<Verdict> => {
      asked++
      return new Promise(() => {})
    }
    const [a, b] = [await member(), await member({ validate: never })]
    await line(a, b)
    await meshed('news', a, b)
    for (let i = 0; i < 300; i++) await a.topic.publish(bytes(`message ${i}`))
    await until('b to ignore what is over', () => b.judge.results.length === 44)
    expect(asked).toBe(256)
    expect(new Set(b.judge.results)).toEqual(new Set(['ignore full']))
  })

  it('refuses what is too large before it is sent, and charges who sends it', async () => {
    const [a, b] = [await member(), await member({ maxBytes: 10 })]
    await line(a, b)
    await meshed('news', a, b)
    await expect(a.topic.publish(new Uint8Array(65_537))).rejects.toMatchObject({
      name: 'RefusedError',
      reason: 'too-large'
    })
    await a.topic.publish(bytes('eleven byte'))
    await a.topic.publish(bytes('ten bytes.'))
    await until('b to get the small one', () => b.got.length > 0)
    expect(b.got).toEqual(['ten bytes.'])
    expect(b.judge.results).toEqual(['reject too-large', 'accept'])
  })

  it('publishes to nobody without complaint: no peers, no node, sent before, a seed', async () => {
    const [a, b] = [await member(), await member({}, { gossip: { passive: true } })]
    expect(await a.topic.publish(bytes('hello'))).toEqual({ recipients: 0 })
    expect(await a.topic.publish(bytes('hello'))).toEqual({ recipients: 0 })
    expect(await b.topic.publish(bytes('hello'))).toEqual({ recipients: 0 })
    expect(b.gossip.pubsub.getTopics()).toEqual([])
    await a.libp2p.stop()
    expect(await a.topic.publish(bytes('hello again'))).toEqual({ recipients: 0 })
  })

  it('drops messages of topics that nobody here takes part in', async () => {
    const [a, b] = [await member(), await member()]
    await line(a, b)
    await meshed('news', a, b)
    // another chain's topic, pushed at b by one who does not ask whether b wants it
    const push = a.gossip.pubsub as unknown as { sendRpc(peer: string, rpc: object): boolean }
    const strange = { topic: '/blockwire/other-00000000/news/1', data: bytes('buy this') }
    expect(push.sendRpc(b.libp2p.peerId.toString(), { subscriptions: [], messages: [strange] })).toBe(true)
    await a.topic.publish(bytes('after it'))
    await until('b to get the message after it', () => b.got.length > 0)
    const kept = (b.gossip.pubsub as unknown as { mcache: { size: number } }).mcache.size
    expect(kept).toBe(1)
  })

  it('has a name of its own, and limits within those of the node', async () => {
    const { gossip, topic } = await member()
    expect(topic.name).toBe('/blockwire/test-00000000/news/1')
    expect(() => gossip.topic('news', { maxBytes: 1 })).toThrow(/there is a topic 'news' already/)
    expect(() => gossip.topic('No/Such', { maxBytes: 1 })).toThrow(/name must match/)
    expect(() => gossip.topic('large', { maxBytes: 1_048_577 })).toThrow(/over gossip's maxMessageBytes/)
    topic.close()
    expect(gossip.topic('news', { maxBytes: 1 }).name).toBe(topic.name)
  })

  it('is still there after a restart', async () => {
    const [a, b] = [await member(), await member()]
    await line(a, b)
    await meshed('news', a, b)
    await b.libp2p.stop()
    await until('a to forget b', () => a.topic.peers.length === 0)
    await b.libp2p.start()
    await line(a, b)
    await meshed('news', a, b)
    await a.topic.publish(bytes('welcome back'))
    await until('b to get it', () => b.got.length > 0)
    expect(b.got).toEqual(['welcome back'])
  })

  it('arrives whole in a burst that gossipsub alone would lose', async () => {
    const [a, b] = [await member({}, { transport: 'tcp' }), await member({}, { transport: 'tcp' })]
    await line(a, b)
    await meshed('news', a, b)
    await Promise.all(
      Array.from({ length: 500 }, (_, i) => {
        const data = new Uint8Array(65_536)
        data.set(bytes(`message ${i} `))
        return a.topic.publish(data)
      })
    )
    await until('500 messages', () => b.got.length === 500)
    expect(new Set(b.got).size).toBe(500)
  })
})
