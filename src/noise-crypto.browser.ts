import type { ICryptoInterface } from '@chainsafe/libp2p-noise'

/** Browsers have no such cipher: noise takes its own. */
export const noiseCrypto: ICryptoInterface | undefined = undefined
