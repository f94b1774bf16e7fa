import { pureJsCrypto, noise as theirs } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { tcp } from '@libp2p/tcp'
import fc from 'fast-check'
import { createLibp2p, type Libp2p } from 'libp2p'
import { Uint8ArrayList } from 'uint8arraylist'
import { afterEach, describe, expect, it } from 'vitest'
import { noise as ours } from '../dist/src/noise.js'
import { noiseCrypto } from '../dist/src/noise-crypto.js'

const crypto = noiseCrypto!
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const hex = (data: { subarray(): Uint8Array }): string => Buffer.from(data.subarray()).toString('hex')
/** In pieces, as from a socket. */
function cut(whole: Uint8Array, at: number): Uint8Array {
  // noise has a copy of the list's class of its own, with another type
  return new Uint8ArrayList(whole.subarray(0, at), whole.subarray(at)) as unknown as Uint8Array
}

describe('what noise computes with', () => {
  it('seals and opens as the plain implementation does, at every length, whole and in pieces', () => {
    const message = fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(639, 640, 641, 65_519).chain(bytes))
    fc.assert(
      fc.property(
        message,
        bytes(32),
        bytes(12),
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(),
        (text, key, nonce, ad, at) => {
          const wanted = pureJsCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, key).subarray()
          expect(hex(crypto.chaCha20Poly1305Encrypt(text, nonce, ad, key))).toBe(hex(wanted))
          expect(hex(crypto.chaCha20Poly1305Encrypt(cut(text, at % (text.length + 1)), nonce, ad, key))).toBe(
            hex(wanted)
          )
          const pieces = cut(wanted, at % wanted.length)
          expect(hex(crypto.chaCha20Poly1305Decrypt(wanted, nonce, ad, key))).toBe(hex(text))
          expect(hex(crypto.chaCha20Poly1305Decrypt(pieces, nonce, ad, key))).toBe(hex(text))
          // given the room for the text, which has been filled with it, and which has not
          const room = wanted.slice(0, text.length)
          expect(hex(crypto.chaCha20Poly1305Decrypt(pieces, nonce, ad, key, room))).toBe(hex(text))
          const empty = new Uint8Array(text.length)
          expect(hex(crypto.chaCha20Poly1305Decrypt(pieces, nonce, ad, key, empty))).toBe(hex(text))
        }
      ),
      { numRuns: 30 }
    )
  })

  it('refuses what was changed', () => {
    for (const length of [20, 700]) {
      const [key, nonce, ad] = [new Uint8Array(32), new Uint8Array(12), new Uint8Array(0)]
      const sealed = crypto.chaCha20Poly1305Encrypt(new Uint8Array(length), nonce, ad, key).subarray()
      for (const at of [0, length - 1, length, length + 15]) {
        const forged = sealed.slice()
        forged[at]! ^= 1
        const room = forged.slice(0, length)
        expect(() => crypto.chaCha20Poly1305Decrypt(forged, nonce, ad, key, room)).toThrow()
      }
    }
  })

  it('agrees on keys with the plain implementation', () => {
    const seed = Uint8Array.from({ length: 32 }, (_, i) => i)
    const mine = crypto.generateX25519KeyPairFromSeed(seed)
    expect(hex(mine.publicKey)).toBe(hex(pureJsCrypto.generateX25519KeyPairFromSeed(seed).publicKey))
    const other = crypto.generateX25519KeyPair()
    const shared = crypto.generateX25519SharedKey(mine.privateKey, other.publicKey)
    expect(hex(shared)).toBe(hex(pureJsCrypto.generateX25519SharedKey(other.privateKey, mine.publicKey)))
    const list = cut(Uint8Array.of(1, 2, 3), 1)
    expect(hex(crypto.hashSHA256(list))).toBe(hex(pureJsCrypto.hashSHA256(Uint8Array.of(1, 2, 3))))
  })
})

describe('noise', () => {
  const hosts: Libp2p[] = []
  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((host) => host.stop()))
  })
  const start = async (noise: typeof ours): Promise<Libp2p> => {
    const host = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux() as never]
    })
    hosts.push(host)
    return host
  }

  it.each([
    ['with itself', ours, ours],
    ["with libp2p's own, dialled", ours, theirs],
    ["with libp2p's own, dialling", theirs, ours]
  ])('speaks %s: megabytes go there and back', async (_, one, other) => {
    const [a, b] = await Promise.all([start(one), start(other)])
    await b.handle('/echo', (stream) => {
      stream.addEventListener('message', ({ data }) => stream.send(data))
      stream.addEventListener('remoteCloseWrite', () => void stream.close())
    })
    const stream = await a.dialProtocol(b.getMultiaddrs(), '/echo')
    const sent = new Uint8Array(3_000_000).map((_byte, i) => (i * i) >> 7)
    const got: Uint8Array[] = []
    const back = new Promise<void>((resolve) => {
      let length = 0
      stream.addEventListener('message', ({ data }) => {
        got.push(data.subarray())
        length += data.byteLength
        if (length >= sent.length) resolve()
      })
    })
    stream.send(sent)
    await back
    expect(Buffer.compare(Buffer.concat(got), sent)).toBe(0)
  })
})
