import { createHash } from 'node:crypto'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'

/** The same for everyone who knows the port: never for anything that matters. */
export async function debugKey(port: number): Promise<PrivateKey> {
  const seed = createHash('sha256').update(`blockwire-debug-${port}`).digest()
  return generateKeyPairFromSeed('Ed25519', seed)
}
