import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey, PublicKey } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { MalformedError } from '../errors.js'
import { toHex } from '../hex.js'
import { RoomMessage } from '../pb/room.js'

export const KIND = { text: 1, here: 2, left: 3 } as const

/** Longest text and nickname, in bytes of UTF-8. */
export const MAX_TEXT_BYTES = 8_192
export const MAX_NAME_BYTES = 32
/** An Ed25519 or secp256k1 key. */
const MAX_KEY_BYTES = 64
const MAX_SIGNATURE_BYTES = 128
/** A message with all of these. */
export const MAX_MESSAGE_BYTES = MAX_TEXT_BYTES + 512

const DOMAIN = 'blockwire room message'
const encoder = new TextEncoder()

/** A message whose form was checked, and its signature not. */
export interface Unverified {
  kind: number
  peer: PeerId
  key: PublicKey
  clock: number
  name: string
  text: string
  /** As it came. */
  bytes: Uint8Array
  /** No two messages have the same. */
  id: string
  signed: Uint8Array
  signature: Uint8Array
}

/** Signed by `key` for the topic of this full name, which holds the network and the room. */
export async function sign(
  key: PrivateKey,
  topic: string,
  { kind, clock, name, text }: { kind: number; clock: number; name: string; text: string }
): Promise<Uint8Array> {
  const sender = new Uint8Array(publicKeyToProtobuf(key.publicKey))
  const signature = new Uint8Array(await key.sign(toSign(topic, { kind, sender, clock, name, text })))
  return RoomMessage.encode({ kind, sender, clock, name, text, signature })
}

/** @throws MalformedError for what cannot be a message, whoever signed it */
export function decode(bytes: Uint8Array, topic: string): Unverified {
  try {
    const message = RoomMessage.decode(bytes)
    const { kind, sender, clock, name, text, signature } = message
    // the same message in other bytes would travel again
    if (!equal(RoomMessage.encode(message), bytes)) throw new Error('it does not encode to the same bytes again')
    if (kind < KIND.text || kind > KIND.left) throw new Error(`its kind is ${kind}`)
    within('key', sender.byteLength, 1, MAX_KEY_BYTES)
    within('signature', signature.byteLength, 1, MAX_SIGNATURE_BYTES)
    within('name', encoder.encode(name).byteLength, 0, MAX_NAME_BYTES)
    within('text', encoder.encode(text).byteLength, kind === KIND.text ? 1 : 0, kind === KIND.text ? MAX_TEXT_BYTES : 0)
    if (!Number.isSafeInteger(clock)) throw new Error('its clock is over 53 bits')
    const key = publicKeyFromProtobuf(sender)
    const peer = peerIdFromPublicKey(key)
    const id = `${clock}/${peer}/${toHex(signature)}`
    return { kind, peer, key, clock, name, text, bytes, id, signed: toSign(topic, message), signature }
  } catch (err) {
    throw new MalformedError(`a message that is none: ${(err as Error).message}`, err)
  }
}

export async function verify({ key, signed, signature }: Unverified): Promise<boolean> {
  try {
    return await key.verify(signed, signature)
  } catch {
    // a signature of another length
    return false
  }
}

/** Each part after its length, so that no two messages sign the same bytes. */
function toSign(
  topic: string,
  { kind, sender, clock, name, text }: { kind: number; sender: Uint8Array; clock: number; name: string; text: string }
): Uint8Array {
  const numbers = new Uint8Array(9)
  numbers[0] = kind
  new DataView(numbers.buffer).setBigUint64(1, BigInt(clock))
  const parts = [
    encoder.encode(DOMAIN),
    encoder.encode(topic),
    sender,
    numbers,
    encoder.encode(name),
    encoder.encode(text)
  ]
  const all = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.byteLength, 0))
  const view = new DataView(all.buffer)
  let at = 0
  for (const part of parts) {
    view.setUint32(at, part.byteLength)
    all.set(part, at + 4)
    at += 4 + part.byteLength
  }
  return all
}

function within(what: string, bytes: number, least: number, most: number): void {
  if (bytes < least || bytes > most) throw new Error(`its ${what} has ${bytes} bytes, ${least} to ${most} are possible`)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index])
}
