import { messageId } from 'blockwire/gossip'
import { expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

it('is the first 20 bytes of SHA-256(topic, 0, data)', () => {
  expect(toHex(messageId('/blockwire/hello-6f1c9a3b/blocks/1', bytes('abc')))).toBe(
    '7ca5059d5ae5195944fbd52323a4107f63fb8f97'
  )
  expect(toHex(messageId('/blockwire/hello-6f1c9a3b/txs/1', bytes('')))).toBe(
    'cd9d711017d89c65f135208ac47fc2e00ab2e37f'
  )
})

it('tells equal bytes on two topics apart, and all bytes count', () => {
  const ids = [
    messageId('/blockwire/hello-6f1c9a3b/blocks/1', bytes('abc')),
    messageId('/blockwire/hello-6f1c9a3b/txs/1', bytes('abc')),
    messageId('/blockwire/hello-6f1c9a3b/txs/1', bytes('abd')),
    messageId('/blockwire/hello-6f1c9a3b/txs/1', bytes('abc\0'))
  ]
  expect(new Set(ids.map(toHex)).size).toBe(4)
})
