import type { Libp2p, Stream } from '@libp2p/interface'
import { HandClock } from 'blockwire/testing'
import { pipe } from 'it-pipe'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../protocol/hosts.js'
import { bareHost, chatHost, converse, type Host, nextConversation, rawStream, read, stopHosts, take } from './hosts.js'

afterEach(stopHosts)

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `line ${index}`)

describe.each(['memory', 'tcp'] as const)('a conversation over %s', (over) => {
  it('carries lines both ways, in order, in any writing', async () => {
    const [alice, bob] = await Promise.all([chatHost({}, over), chatHost({}, over)])
    const { ours, theirs } = await converse(alice, bob)
    expect([ours.direction, theirs.direction]).toEqual(['outbound', 'inbound'])
    expect(theirs.peer.equals(alice.peerId)).toBe(true)
    await Promise.all(['hello', '', '小明 👩‍👩‍👧 שלום'].map((text) => ours.send(text)))
    expect(await take(theirs, 3)).toEqual(['hello', '', '小明 👩‍👩‍👧 שלום'])
    await theirs.send('hi yourself')
    expect(await take(ours)).toEqual(['hi yourself'])
  })

  it('keeps the order of many lines, and ends with the last', async () => {
    const [alice, bob] = await Promise.all([chatHost({}, over), chatHost({}, over)])
    const { ours, theirs } = await converse(alice, bob)
    const reading = read(theirs)
    await Promise.all([pipe(numbers(5_000), ours), pipe(numbers(5_000), theirs), read(ours)])
    expect(await reading).toEqual(numbers(5_000))
    expect(await ours.closed).toEqual({ reason: expect.stringMatching('closed|left') })
  })

  it('is three conversations among three, each with its own lines', async () => {
    const hosts = await Promise.all([chatHost({}, over), chatHost({}, over), chatHost({}, over)])
    const [a, b, c] = hosts as [Host, Host, Host]
    const pairs = [await converse(a, b), await converse(b, c), await converse(c, a)]
    for (const { ours, theirs } of pairs) {
      await Promise.all([ours.send(`from ${ours.peer}`), theirs.send(`from ${theirs.peer}`)])
    }
    for (const { ours, theirs } of pairs) {
      expect(await take(theirs)).toEqual([`from ${ours.peer}`])
      expect(await take(ours)).toEqual([`from ${theirs.peer}`])
    }
    for (const host of hosts) expect(host.services.chat.conversations).toHaveLength(2)
  })

  it('of one that stops ends as left, and those of the others go on', async () => {
    const hosts = await Promise.all([chatHost({}, over), chatHost({}, over), chatHost({}, over)])
    const [a, b, c] = hosts as [Host, Host, Host]
    const ab = await converse(a, b)
    const cb = await converse(c, b)
    await cb.ours.send('last words')
    const [gone] = await Promise.all([cb.ours.closed, c.stop(), closeAtEnd(cb.theirs)])
    expect(gone).toEqual({ reason: 'stopped' })
    expect(await cb.theirs.closed).toEqual({ reason: 'left' })
    await ab.ours.send('still here')
    expect(await take(ab.theirs)).toEqual(['still here'])
    expect(b.services.chat.conversations).toEqual([ab.theirs])
  })

  it('ends as lost when the connection goes away, also inside a line, without an error anywhere', async () => {
    const bob = await chatHost({}, over)
    const { stream, theirs, from } = await rawStream(bob)
    stream.send(new TextEncoder().encode('whole\nhal'))
    expect(await take(theirs)).toEqual(['whole'])
    for (const connection of from.getConnections()) connection.abort(new Error('killed'))
    expect(await theirs.closed).toMatchObject({ reason: 'lost', error: { name: 'StreamLostError', fault: 'quality' } })
    expect(await read(theirs)).toEqual([])
    await expect(theirs.send('anyone?')).rejects.toMatchObject({ name: 'StreamLostError' })
    expect(bob.services.chat.conversations).toEqual([])
  })
})

/** What an app does: reads, and closes when the other has. */
async function closeAtEnd(conversation: Host['services']['chat']['conversations'][number]): Promise<string[]> {
  const lines = await read(conversation)
  await conversation.close()
  return lines
}

describe('the bytes', () => {
  it("are those of go-libp2p's example: lines, and nothing before, between or after them", async () => {
    const bob = await chatHost()
    const { stream, theirs } = await rawStream(bob)
    expect(stream.protocol).toBe('/chat/1.0.0')
    let got = ''
    stream.addEventListener('message', ({ data }) => {
      got += Buffer.from(data.subarray()).toString()
    })
    await theirs.send('hello')
    await theirs.send('')
    await theirs.send('é')
    const closing = theirs.close()
    await until(() => stream.remoteWriteStatus === 'closed', 'the end')
    expect(got).toBe('hello\n\né\n')
    await stream.close()
    expect(await closing).toEqual({ reason: 'closed' })
  })
})

describe('half of a conversation', () => {
  it('may be closed: the other half goes on', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const { ours, theirs } = await converse(alice, bob)
    await pipe(['all that I say'], ours)
    expect(await read(theirs)).toEqual(['all that I say'])
    await theirs.send('an answer')
    expect(await take(ours)).toEqual(['an answer'])
    expect(await theirs.close()).toEqual({ reason: 'left' })
    expect(await ours.closed).toEqual({ reason: 'closed' })
    await expect(ours.send('more')).rejects.toMatchObject({ name: 'StreamLostError' })
  })

  it.each([
    ['of our own kind, which is told', chatHost, 'left'],
    ['of another kind, whose stream is reset', bareHost, 'reset']
  ])('that stays open is not waited for longer than three seconds: %s', async (_which, host, ending) => {
    const clock = new HandClock()
    const [alice, bob] = await Promise.all([chatHost({ clock }), host()])
    const end = 'chat' in bob.services ? nextConversation(bob as Host) : acceptLines(bob)
    const ours = await alice.services.chat.open(bob.getMultiaddrs()[0]!)
    await ours.send('bye')
    const closing = ours.close()
    await until(() => clock.due.includes(3_000), 'the wait for the other side')
    clock.turn(3_000)
    expect(await closing).toEqual({ reason: 'closed' })
    const theirs = await end
    if ('closed' in theirs) expect([(await theirs.closed).reason, await read(theirs)]).toEqual([ending, ['bye']])
    else await until(() => theirs.status === ending, 'the reset')
  })
})

/** The next stream of go-libp2p's chat example at a host that leaves it open. */
function acceptLines(host: Libp2p): Promise<Stream> {
  return new Promise((resolve) => void host.handle('/chat/1.0.0', resolve))
}

describe('opening', () => {
  it('takes a multiaddr, its text, a peer ID and its text', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    bob.services.chat.addEventListener('conversation', () => {})
    const [address] = bob.getMultiaddrs()
    for (const target of [address!, address!.toString(), bob.peerId, bob.peerId.toString()]) {
      const { peer } = await alice.services.chat.open(target)
      expect(peer.equals(bob.peerId)).toBe(true)
    }
    expect(alice.services.chat.conversations).toHaveLength(4)
  })

  it('says why it does not work', async () => {
    const hosts = await Promise.all([chatHost({}, 'tcp'), chatHost({}, 'tcp'), bareHost('tcp'), bareHost('tcp')])
    const [alice, bob, bare, other] = hosts
    const { chat } = alice.services
    const address = bob.getMultiaddrs()[0]!.toString()
    await expect(chat.open('nonsense')).rejects.toMatchObject({ name: 'ConfigError', option: 'target' })
    await expect(chat.open(bare.getMultiaddrs()[0]!)).rejects.toMatchObject({ name: 'UnsupportedError' })
    await expect(chat.open(address.replace(/\/p2p\/.*/, `/p2p/${other.peerId}`))).rejects.toMatchObject({
      name: 'UnreachableError',
      message: expect.stringContaining('somebody else answers there')
    })
    await bob.stop()
    await expect(chat.open(address)).rejects.toMatchObject({
      name: 'UnreachableError',
      code: 'BW_UNREACHABLE',
      message: expect.stringContaining('nobody listens there')
    })
    await expect(chat.open(address, { signal: AbortSignal.abort(new Error('changed my mind')) })).rejects.toThrow(
      'changed my mind'
    )
  })

  it('is refused while nobody listens for conversations', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const refused = alice.services.chat.open(bob.getMultiaddrs()[0]!)
    await expect(refused).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    expect(alice.services.chat.conversations).toEqual([])
    const lines = await (await bareHost()).dialProtocol(bob.getMultiaddrs(), '/chat/1.0.0')
    await until(() => lines.status === 'reset', 'the refusal of lines')
    expect(bob.services.chat.conversations).toEqual([])
  })

  it('works again after stop and start', async () => {
    const [alice, bob] = await Promise.all([chatHost(), chatHost()])
    const first = await converse(alice, bob)
    await Promise.all([
      alice.stop(),
      first.theirs.closed.then(() => {}),
      read(first.theirs).then(() => first.theirs.close())
    ])
    await alice.start()
    const again = nextConversation(alice)
    const ours = await bob.services.chat.open(alice.getMultiaddrs()[0]!)
    await ours.send('back?')
    expect(await take(await again)).toEqual(['back?'])
  })
})
