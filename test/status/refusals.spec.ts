import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect, it } from 'vitest'
import { REFUSAL_MS, Refusals } from '../../dist/src/status/refusals.js'

const peer = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
const refusal = { peer, code: 'network', field: 'network', ours: 'a', theirs: 'b', byThem: false } as const

it('a refusal is remembered for ten minutes, so that a seed that was set right is found again', () => {
  const refusals = new Refusals()
  refusals.set(refusal, 'ours', 1_000)
  expect(refusals.get(peer, 'ours', 1_000 + REFUSAL_MS - 1)).toEqual(refusal)
  expect(refusals.get(peer, 'ours', 1_000 + REFUSAL_MS)).toBeUndefined()
})

it('a refusal is forgotten when our values change', () => {
  const refusals = new Refusals()
  refusals.set(refusal, 'ours', 0)
  expect(refusals.get(peer, 'others', 1)).toBeUndefined()
})
