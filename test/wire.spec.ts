import type { Stream } from '@libp2p/interface'
import { defineProtocol, rawBytes } from 'blockwire/protocol'
import { forkId, STATUS_PROTOCOL } from 'blockwire/status'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeBlock, txId } from '../dist/src/chain/block.js'
import { merkleRoot } from '../dist/src/chain/merkle.js'
import { systemClock } from '../dist/src/clock.js'
import { compactOf } from '../dist/src/gossip/compact.js'
import { messageId } from '../dist/src/gossip/message-id.js'
import { fromHex, toHex } from '../dist/src/hex.js'
import { PoolRequest } from '../dist/src/pb/catch-up.js'
import { ChatFrame } from '../dist/src/pb/chat.js'
import { Frame } from '../dist/src/pb/frame.js'
import { PeersRequest } from '../dist/src/pb/peers.js'
import { RoomMessage } from '../dist/src/pb/room.js'
import { StatusMessage } from '../dist/src/pb/status.js'
import { SyncRequest, TxProof } from '../dist/src/pb/sync.js'
import { poolProtocol } from '../dist/src/pool/catch-up-wire.js'
import { encodeShorts, SipHash } from '../dist/src/siphash.js'
import { helloOf } from '../dist/src/status/hello.js'
import { encodeIndexes } from '../dist/src/sync/indexes.js'
import { syncProtocol } from '../dist/src/sync/wire.js'
import { connect, type Host, startHost, stopHosts, until } from './protocol/hosts.js'
import { FakeChain } from './status/chain.js'

// The wire, byte by byte, as docs/wire.md has it. Whoever must change a line here changes the wire: that takes the next integer in
// the protocol's ID.

const hash = (fill: number): Uint8Array<ArrayBuffer> => new Uint8Array(32).fill(fill)
const h = (fill: string): string => fill.repeat(32)
/** Hex with spaces to read it by. */
const hex = (text: string): string => text.replaceAll(/\s+/g, '')

describe('messages', () => {
  const chain = new FakeChain({
    network: 'hello',
    genesis: { hash: hash(9) },
    params: { reward: '50', blockTime: 10_000 },
    forks: [50, 500],
    head: { hash: hash(1), height: 300, work: 0x0102n }
  })

  const golden: [
    name: string,
    codec: { decode(bytes: Uint8Array): unknown; encode(value: never): Uint8Array },
    value: unknown,
    bytes: string
  ][] = [
    ['items', Frame, { items: Uint8Array.of(1, 7, 2, 8, 9) }, '0a 05 01 07 02 08 09'],
    ['end, whole', Frame, { end: { code: 0, count: 300 } }, '12 03 10 ac02'],
    ['end, cut', Frame, { end: { code: 1, count: 1 } }, '12 04 08 01 10 01'],
    ['end of nothing', Frame, { end: { code: 0, count: 0 } }, '12 00'],
    ['busy', Frame, { busy: { retryMs: 1_000 } }, '1a 03 08 e807'],
    ['not found', Frame, { notFound: {} }, '22 00'],
    [
      'hello',
      StatusMessage,
      { hello: helloOf(chain, 'light', 7) },
      `0a 8701  08 01  12 05 68656c6c6f  1a 20 ${h('09')}  22 04 ca140d67  28 f403
       32 12 0a 09 626c6f636b54696d65 12 05 3130303030  32 0e 0a 06 726577617264 12 04 22353022
       38 01  40 07  4a 29 0a 20 ${h('01')} 10 ac02 1a 02 0102`
    ],
    [
      'hello of a node with an index of transactions',
      StatusMessage,
      { hello: helloOf(new FakeChain({ genesis: { hash: hash(9) }, params: {}, txIndex: true }), 'full', 0) },
      `0a 5d  08 01  12 05 68656c6c6f  1a 20 ${h('09')}  22 04 0d0dc046  4a 28 0a 20 ${h('01')} 10 64 1a 02 03e8  50 01`
    ],
    [
      'hello of a seed at genesis',
      StatusMessage,
      { hello: helloOf(new FakeChain({ genesis: { hash: hash(9) }, params: {} }), 'seed', 0) },
      `0a 33  08 01  12 05 68656c6c6f  1a 20 ${h('09')}  22 04 0d0dc046  38 02`
    ],
    [
      'head',
      StatusMessage,
      { head: { hash: hash(2), height: 2 ** 40, work: Uint8Array.of(0xff) } },
      `12 2c 0a 20 ${h('02')} 10 808080808020 1a 01 ff`
    ],
    [
      'chat: hello',
      ChatFrame,
      { hello: { id: hash(7).slice(16), resume: true, received: 300 } },
      `0a 17 0a 10 ${'07'.repeat(16)} 10 01 18 ac02`
    ],
    ['chat: hello in answer', ChatFrame, { hello: { id: new Uint8Array(), resume: false, received: 0 } }, '0a 00'],
    ['chat: refusal', ChatFrame, { refusal: { code: 3 } }, '12 02 08 03'],
    ['chat: line', ChatFrame, { line: { id: 1, text: Uint8Array.of(0x68, 0x69) } }, '1a 06 08 01 12 02 6869'],
    ['chat: acknowledgement', ChatFrame, { ack: { received: 1, limit: 262_144 } }, '22 06 08 01 10 808010'],
    ['chat: end', ChatFrame, { end: { last: 1 } }, '2a 02 08 01'],
    ['chat: bye', ChatFrame, { bye: {} }, '32 00'],
    [
      'a message in a room',
      RoomMessage,
      { kind: 1, sender: Uint8Array.of(1), clock: 2 ** 40, name: 'ana', text: 'hi', signature: Uint8Array.of(2) },
      '08 01 12 01 01 18 808080808020 22 03 616e61 2a 02 6869 32 01 02'
    ],
    [
      'goodbye',
      StatusMessage,
      { goodbye: { code: 2, field: 'genesis', ours: 'a', theirs: 'b' } },
      '1a 11 08 02 12 07 67656e65736973 1a 01 61 22 01 62'
    ],
    ['peers request', PeersRequest, { limit: 32, newcomer: Uint8Array.of() }, '08 20'],
    ['newcomer', PeersRequest, { limit: 0, newcomer: Uint8Array.of(7, 8) }, '12 02 07 08'],
    [
      'headers request',
      SyncRequest,
      { headers: { locator: [hash(1), hash(9)], limit: 2_000, stop: hash(3) } },
      `0a 69 0a 20 ${h('01')} 0a 20 ${h('09')} 10 d00f 1a 20 ${h('03')}`
    ],
    ['blocks request', SyncRequest, { blocks: { hashes: [hash(1)] } }, `12 22 0a 20 ${h('01')}`],
    ['range request', SyncRequest, { range: { from: 1, to: 1_024 } }, '1a 05 08 01 10 8008'],
    [
      'transactions request',
      SyncRequest,
      { txs: { block: hash(1), indexes: encodeIndexes([0, 1, 5, 300]) } },
      `22 29 0a 20 ${h('01')} 12 05 00 00 03 a602`
    ],
    [
      'proof request',
      SyncRequest,
      { proof: { block: hash(1), tx: hash(2) } },
      `2a 44 0a 20 ${h('01')} 12 20 ${h('02')}`
    ],
    [
      'proof request without a block',
      SyncRequest,
      { proof: { block: Uint8Array.of(), tx: hash(2) } },
      `2a 22 12 20 ${h('02')}`
    ],
    ['short IDs request', PoolRequest, { ids: { salt: new Uint8Array(16).fill(5) } }, `0a 12 0a 10 ${'05'.repeat(16)}`],
    [
      'pending transactions request',
      PoolRequest,
      { txs: { salt: new Uint8Array(16).fill(5), ids: encodeShorts([1, 0x0605_0403_0201]) } },
      `12 20 0a 10 ${'05'.repeat(16)} 12 0c 010000000000 010203040506`
    ],
    [
      'proof',
      TxProof,
      { block: hash(1), index: 2, count: 3, path: [hash(4), hash(5)], tx: Uint8Array.of(7, 8) },
      `0a 20 ${h('01')} 10 02 18 03 22 20 ${h('04')} 22 20 ${h('05')} 2a 02 0708`
    ]
  ]

  it.each(golden)('%s', (_name, codec, value, bytes) => {
    expect(toHex(codec.encode(value as never))).toBe(hex(bytes))
    expect(codec.decode(fromHex(hex(bytes)))).toEqual(value)
  })

  it.each(golden)('%s: fields of later versions are ignored', (_name, codec, value, bytes) => {
    const later = fromHex(`${hex(bytes)}f83f01fa3f03616263`)
    expect(codec.decode(later)).toEqual(value)
  })
})

describe('what messages rest on', () => {
  it('block bytes, transaction ID and Merkle root', () => {
    expect(toHex(encodeBlock(Uint8Array.of(1, 2, 3), [Uint8Array.of(4), new Uint8Array(200).fill(5)]))).toBe(
      hex(`03 010203 01 04 c801 ${'05'.repeat(200)}`)
    )
    expect(toHex(txId(Uint8Array.of(4)))).toBe('4f35212d12f9ad2036492c95f1fe79baf4ec7bd9bef3dffa7579f2293ff546a4')
    expect(toHex(merkleRoot([]))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(toHex(merkleRoot([1, 2, 3].map((byte) => txId(Uint8Array.of(byte)))))).toBe(
      'e2da0242936eb38ec996a543601b3a1da4226391ff92014ed1a7a248ace36347'
    )
  })

  it('a block by its short IDs', () => {
    const block = encodeBlock(Uint8Array.of(1, 2, 3), [Uint8Array.of(4), new Uint8Array(5_000).fill(5)])
    const limits = { headerBytes: 1_024, blockBytes: 1 << 20, txBytes: 65_536, futureMs: 15_000 }
    const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    expect(toHex(compactOf(block, hash(1), { limits, prefilled: 1, nonce })!)).toBe(
      hex('00 03 010203 0102030405060708 02 01 00 01 04 65ca7a234cee')
    )
  })

  it('a short ID of pool/1', () => {
    const sip = new SipHash(new Uint8Array(16).fill(5))
    expect(toHex(encodeShorts([sip.short(txId(Uint8Array.of(4)))]))).toBe('4324ef858b6f')
  })

  it('the ID of a gossip message', () => {
    expect(toHex(messageId('/blockwire/hello-09090909/blocks/1', Uint8Array.of(1, 2, 3)))).toBe(
      '4d4e5c4b008770ba246f760aba9ad177bcd4e05a'
    )
  })

  it('a fork id', () => {
    expect(toHex(forkId(hash(9), [50, 500], 300).hash)).toBe('ca140d67')
  })
})

describe('protocol IDs', () => {
  it('are these', () => {
    const limits = { headerBytes: 1_024, blockBytes: 1 << 20, txBytes: 65_536 }
    expect(STATUS_PROTOCOL).toBe('/blockwire/status/1')
    expect(syncProtocol(limits, systemClock).id('hello-09090909')).toBe('/blockwire/hello-09090909/sync/1')
    expect(poolProtocol(limits, systemClock).id('hello-09090909')).toBe('/blockwire/hello-09090909/pool/1')
  })
})

describe('a conversation', () => {
  let a: Host
  let b: Host
  beforeEach(async () => {
    ;[a, b] = await Promise.all([startHost(), startHost()])
  })
  afterEach(() => stopHosts(a, b))

  const define = () =>
    defineProtocol({
      name: '/wire/1',
      request: rawBytes,
      item: rawBytes,
      limits: { requestBytes: 8, itemBytes: 200, items: 10, answerBytes: 1_000, totalMs: 60_000, inbound: 2 }
    })

  /** All that comes until the other side closes. */
  async function received(stream: Stream): Promise<string> {
    let text = ''
    stream.addEventListener('message', ({ data }) => {
      text += toHex(data instanceof Uint8Array ? data : data.subarray())
    })
    await until(() => stream.remoteWriteStatus === 'closed' && stream.readBufferLength === 0, 'the end')
    return text
  }

  it('one request a stream, frames with prefixes, an end with a count', async () => {
    await define().serve(
      b.registrar,
      '',
      async function* (request) {
        yield [request, Uint8Array.of(0xaa)]
        yield new Uint8Array(150).fill(0xbb)
        return 'more'
      },
      { onFault: (_peer, err) => expect.unreachable(err.message) }
    )
    const { out } = await connect(a, b)
    const stream = await out.newStream('/wire/1')
    stream.send(fromHex('03010203'))
    await stream.close()
    expect(await received(stream)).toBe(
      hex(`a101 0a 9e01 03 010203 01 aa 9601 ${'bb'.repeat(150)} 06 12 04 08 01 10 03`)
    )
  })

  it('the request as it is asked', async () => {
    let asked: Promise<string> | undefined
    await b.registrar.handle('/wire/1', async (stream) => {
      asked = received(stream)
      await asked
      stream.send(fromHex(hex('05 0a 03 02 cccc 04 12 02 10 01')))
      await stream.close()
    })
    const { out } = await connect(a, b)
    const pages: Uint8Array[][] = []
    for await (const page of define().request(out, '', Uint8Array.of(1, 2, 3))) pages.push(page)
    expect(pages).toEqual([[Uint8Array.of(0xcc, 0xcc)]])
    expect(await asked).toBe('03010203')
  })
})
