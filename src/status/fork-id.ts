/** Fork identifiers as in EIP-2124: what rules a chain follows now, and which change it knows to be next. Pure. */

export interface ForkId {
  /** CRC-32 over the genesis hash and all passed fork heights, 4 bytes big-endian. */
  hash: Uint8Array
  /** Height of the next fork, 0 when none is known. */
  next: number
}

/** The fork id of a chain at `height`. `forks` are heights, ascending; 0 and repeated ones do not count. */
export function forkId(genesis: Uint8Array, forks: readonly number[], height: number): ForkId {
  const { hashes, heights } = history(genesis, forks)
  const passed = heights.filter((fork) => fork <= height).length
  return { hash: toBytes(hashes[passed]!), next: heights[passed] ?? 0 }
}

/**
 * Whether a peer with fork id `remote` can follow the same chain as we, who are at `height`.
 *
 * @returns undefined when it can; `stale` when it lacks a fork that we have passed; `incompatible` when it has another history, or
 * announces a fork at a height that we have passed without it
 */
export function compareForkId(
  genesis: Uint8Array,
  forks: readonly number[],
  height: number,
  remote: ForkId
): 'stale' | 'incompatible' | undefined {
  const { hashes, heights } = history(genesis, forks)
  const passed = heights.filter((fork) => fork <= height).length
  const theirs = toNumber(remote.hash)
  if (theirs === hashes[passed]) {
    return remote.next > 0 && remote.next <= height ? 'incompatible' : undefined
  }
  const index = hashes.indexOf(theirs)
  if (index === -1) return 'incompatible'
  if (index > passed) return undefined
  return remote.next === heights[index] ? undefined : 'stale'
}

/** The hash after each number of passed forks. */
function history(genesis: Uint8Array, forks: readonly number[]): { hashes: number[]; heights: number[] } {
  const heights = [...new Set(forks)].filter((height) => height > 0)
  let crc = crc32(genesis, 0)
  const hashes = [crc]
  for (const height of heights) {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(height))
    crc = crc32(bytes, crc)
    hashes.push(crc)
  }
  return { hashes, heights }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** CRC-32 (IEEE) of `bytes`, going on from the checksum of what was before them. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

function toBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function toNumber(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0)
}
