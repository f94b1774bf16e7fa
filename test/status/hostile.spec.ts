import type { Stream } from '@libp2p/interface'
import { STATUS_PROTOCOL } from 'blockwire/status'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Hello, StatusMessage } from '../../dist/src/pb/status.js'
import { headMessage, helloOf } from '../../dist/src/status/hello.js'
import { connect, type Host, settle, startHost, stopHosts, until } from '../protocol/hosts.js'
import { FakeChain } from './chain.js'
import { type StatusNode, startNode } from './node.js'

// What strangers may do on the status stream, and what becomes of it. `control` is an honest peer of ours: it must not notice.

let us: StatusNode
let control: StatusNode
let them: Host

beforeEach(async () => {
  ;[us, control, them] = await Promise.all([startNode(), startNode(), startHost()])
  await connect(us, control)
  await until(() => us.status.peers.has(control.id) && control.status.peers.has(us.id), 'the control pair')
})
afterEach(async () => {
  await stopHosts(us, control, them)
})

const hello = (more: Partial<Hello> = {}): Uint8Array =>
  message({ hello: { ...helloOf(new FakeChain(), 'full', 0), ...more } })
function message(content: Partial<StatusMessage>): Uint8Array {
  const bytes = StatusMessage.encode(content)
  return bytes.length < 128
    ? Uint8Array.of(bytes.length, ...bytes)
    : Uint8Array.of((bytes.length % 128) + 128, bytes.length >> 7, ...bytes)
}
const head = (height: number): Uint8Array =>
  message({ head: headMessage({ hash: new Uint8Array(32).fill(height), height, work: BigInt(height) }) })

type Row = [name: string, act: (stream: Stream) => unknown, fault: { name: string; fault: string } | undefined]
const protocolFault = (name: string) => ({ name, fault: 'protocol' })
const qualityFault = (name: string) => ({ name, fault: 'quality' })

const rows: Row[] = [
  ['garbage', (s) => s.send(Uint8Array.of(3, 0xff, 0xff, 0xff)), protocolFault('MalformedError')],
  ['an oversize prefix', (s) => s.send(Uint8Array.of(0x81, 0x20)), protocolFault('TooLargeError')],
  ['a prefix that never ends', (s) => s.send(new Uint8Array(12).fill(0xff)), protocolFault('MalformedError')],
  ['a head before hello', (s) => s.send(head(5)), protocolFault('ProtocolOrderError')],
  [
    'a goodbye before hello',
    (s) => s.send(message({ goodbye: { code: 1, field: '', ours: '', theirs: '' } })),
    protocolFault('ProtocolOrderError')
  ],
  ['an unknown message before hello', (s) => s.send(Uint8Array.of(3, 0x7a, 1, 0)), protocolFault('ProtocolOrderError')],
  ['two hellos', (s) => s.send(Uint8Array.of(...hello(), ...hello())), protocolFault('ProtocolOrderError')],
  [
    'a hello with a short genesis',
    (s) => s.send(hello({ genesis: new Uint8Array(5) })),
    protocolFault('MalformedError')
  ],
  [
    'a hello with 18 params',
    (s) => s.send(hello({ params: Array.from({ length: 18 }, () => ({ name: 'a', value: '' })) })),
    protocolFault('MalformedError')
  ],
  [
    'a hello with a height over 53 bits',
    (s) => s.send(Uint8Array.of(11, 0x0a, 9, 0x40, 255, 255, 255, 255, 255, 255, 255, 127)),
    protocolFault('MalformedError')
  ],
  [
    'a head without a hash',
    (s) =>
      s.send(
        Uint8Array.of(...hello(), ...message({ head: { hash: new Uint8Array(), height: 1, work: new Uint8Array() } }))
      ),
    protocolFault('MalformedError')
  ],
  [
    'garbage after hello',
    (s) => s.send(Uint8Array.of(...hello(), 3, 0xff, 0xff, 0xff)),
    protocolFault('MalformedError')
  ],
  [
    'an oversize message after hello',
    (s) => s.send(Uint8Array.of(...hello(), 0x81, 0x20)),
    protocolFault('TooLargeError')
  ],
  ['silence', () => {}, qualityFault('StatusTimeoutError')],
  [
    'a slow drip',
    (s) => {
      const bytes = hello()
      let at = 0
      const drip = (): void => {
        if (s.status !== 'open') return
        s.send(bytes.subarray(at, ++at))
        us.clock.after(1_000, drip)
      }
      drip()
    },
    qualityFault('StatusTimeoutError')
  ],
  ['an early close', (s) => s.close(), qualityFault('TruncatedError')],
  ['a reset', (s) => s.abort(new Error('no')), undefined]
]

async function check(fault: Row[2]): Promise<void> {
  const open = (): boolean => us.libp2p.getConnections(them.libp2p.peerId).some(({ status }) => status === 'open')
  await until(() => {
    if (open()) us.clock.turn(100)
    return !open()
  }, 'the connection to close')
  await settle()
  expect(us.faults).toEqual(fault == null ? [] : [{ ...fault, peer: them.libp2p.peerId.toString() }])
  expect(us.status.peers.has(them.libp2p.peerId.toString())).toBe(false)
  expect(us.joined.length - us.left.length).toBe(1)
  // the control pair has not noticed
  expect([control.left, control.faults, us.refused]).toEqual([[], [], []])
  control.chain.grow()
  await until(() => us.status.get(control.libp2p.peerId)?.head?.height === 101, 'a head from the control peer')
}

describe('a hostile peer that dials us', () => {
  it.each(rows)('%s', async (_name, act, fault) => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    await until(
      () => us.libp2p.getConnections(them.libp2p.peerId)[0]!.streams.some((s) => s.protocol === STATUS_PROTOCOL),
      'the stream'
    )
    await act(stream)
    await check(fault)
  })

  it('no stream at all: closed 10 s after identify', async () => {
    const { in: inbound } = await connect(them, us)
    await until(() => us.clock.due.includes(10_000), 'the deadline')
    us.clock.turn(9_999)
    expect(inbound.status).toBe('open')
    us.clock.turn(1)
    await until(() => inbound.status !== 'open', 'the connection to close')
    expect(us.faults).toEqual([])
  })

  it('a flood of streams: each takes the place of the one before, until that is a fault', async () => {
    const { out } = await connect(them, us)
    for (let i = 0; i < 10 && out.status === 'open'; i++) {
      const stream = await out.newStream(STATUS_PROTOCOL).catch(() => undefined)
      stream?.addEventListener('message', () => {})
      await settle(3)
    }
    await check(protocolFault('ProtocolOrderError'))
  })

  it('a flood of heads: charged once in 20 s, and not passed on', async () => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    stream.addEventListener('message', () => {})
    stream.send(hello())
    await until(() => us.status.peers.has(them.libp2p.peerId.toString()), 'it to join')
    for (let i = 0; i < 850; i++) stream.send(head(i % 2))
    await until(() => us.faults.length === 1, 'the fault')
    await settle()
    expect(us.faults).toMatchObject([protocolFault('ProtocolOrderError')])
    expect(us.heads).toHaveLength(800)
    us.clock.turn(1_000)
    stream.send(head(7))
    await until(() => us.status.get(them.libp2p.peerId)?.head?.height === 7, 'a head after a second')
    expect(us.faults).toHaveLength(1)
  })

  it('the heads of half a minute that we slept through are no flood', async () => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    stream.addEventListener('message', () => {})
    stream.send(hello())
    for (let i = 0; i < 30 * 20; i++) stream.send(head(i % 2))
    await until(() => us.heads.length === 30 * 20, 'the heads')
    expect(us.faults).toEqual([])
  })

  it('heads at 40 a second are no flood', async () => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    stream.addEventListener('message', () => {})
    stream.send(hello())
    await until(() => us.status.peers.has(them.libp2p.peerId.toString()), 'it to join')
    for (let second = 1; second <= 40; second++) {
      for (let i = 0; i < 40; i++) stream.send(head(i % 2))
      await until(() => us.heads.length === second * 40, 'the heads')
      us.clock.turn(1_000)
    }
    expect(us.faults).toEqual([])
  })

  it('garbage after it was refused is not looked at', async () => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    stream.addEventListener('message', () => {})
    stream.send(Uint8Array.of(...hello({ network: 'bye' }), 3, 0xff, 0xff, 0xff))
    await until(() => us.refused.length === 1, 'the refusal')
    await until(() => {
      us.clock.turn(100)
      return out.status !== 'open'
    }, 'the connection to close')
    expect(us.faults).toEqual([])
  })

  it('a goodbye of a kind that we do not know is one all the same', async () => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    stream.addEventListener('message', () => {})
    stream.send(Uint8Array.of(...hello(), ...message({ goodbye: { code: 99, field: '', ours: '', theirs: '' } })))
    await until(() => us.left.length === 1, 'it to leave')
    expect(us.left[0]).toMatchObject({ reason: 'goodbye 99' })
    await check(undefined)
  })

  it('a refusal is shown without what could harm a terminal', async () => {
    const { out } = await connect(them, us)
    const stream = await out.newStream(STATUS_PROTOCOL)
    stream.addEventListener('message', () => {})
    const words = { field: 'fork', ours: '\u001b[2J', theirs: 'x'.repeat(1_000) }
    stream.send(Uint8Array.of(...hello(), ...message({ goodbye: { code: 3, ...words } })))
    await until(() => us.refused.length === 1, 'the refusal')
    expect(us.refused[0]).toMatchObject({ code: 'fork', byThem: true, ours: 'x'.repeat(256), theirs: '?[2J' })
  })
})

describe('a hostile peer that we dial', () => {
  it.each(rows)('%s', async (_name, act, fault) => {
    await them.registrar.handle(STATUS_PROTOCOL, async (stream) => {
      await act(stream)
      await new Promise((resolve) => stream.addEventListener('close', resolve))
    })
    await connect(us, them)
    await check(fault)
  })

  it('a status stream from the side that we dialled is a fault', async () => {
    const { in: inbound } = await connect(us, them)
    const stream = await inbound.newStream(STATUS_PROTOCOL)
    await until(() => stream.status === 'reset', 'the reset')
    expect(us.faults).toMatchObject([protocolFault('ProtocolOrderError')])
  })
})
