import { describe, expect, it } from 'vitest'
import { boundSending } from '../../dist/src/gossip/sending.js'

function setup({ takes = true } = {}) {
  const sent: object[] = []
  const rawStream = { status: 'open', writeBufferLength: 0 }
  const pubsub = {
    streamsOutbound: new Map([['peer', { rawStream }]]),
    gossip: new Map(),
    sendRpc: (_: string, rpc: object) => sent.push(rpc) > 0
  }
  boundSending(pubsub as never, { maxBufferedBytes: 1_000_000, takes: () => takes })
  const rpc = { subscriptions: [], messages: [{ topic: 't', data: new Uint8Array(1_000) }] }
  return { sent, rawStream, pubsub, rpc }
}

describe('sending', () => {
  it('gives no messages to who is passed over, and control as ever', () => {
    const { sent, pubsub, rpc } = setup({ takes: false })
    expect(pubsub.sendRpc('peer', rpc)).toBe(false)
    expect(pubsub.sendRpc('peer', { subscriptions: [], messages: [] })).toBe(true)
    expect(sent).toHaveLength(1)
  })

  it('gives nothing to a stream that is dead, missing or full', () => {
    const { sent, rawStream, pubsub, rpc } = setup()
    expect(pubsub.sendRpc('another', rpc)).toBe(false)
    rawStream.writeBufferLength = 990_000
    expect(pubsub.sendRpc('peer', rpc)).toBe(false)
    rawStream.writeBufferLength = 0
    rawStream.status = 'reset'
    expect(pubsub.sendRpc('peer', rpc)).toBe(false)
    rawStream.status = 'open'
    expect(pubsub.sendRpc('peer', rpc)).toBe(true)
    expect(sent).toHaveLength(1)
  })
})
