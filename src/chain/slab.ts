const SLAB_BYTES = 16_384

/** Cuts zeroed bytes from slabs, one behind the other. */
function slabs(): (length: number) => Uint8Array {
  let slab = new Uint8Array(SLAB_BYTES)
  let at = 0
  return (length) => {
    if (length > SLAB_BYTES / 4) return new Uint8Array(length)
    if (at + length > SLAB_BYTES) {
      slab = new Uint8Array(SLAB_BYTES)
      at = 0
    }
    at += length
    return slab.subarray(at - length, at)
  }
}

/**
 * Zeroed bytes for a key or a small value, cut from a shared slab. A small array of its own lies on V8's heap and is moved off it, at 0.5 µs,
 * when it is handed to LevelDB. Measured: four operations a block 1.5 instead of 5 µs on this thread.
 */
export const cut = slabs()

/** The same for what stays in memory: among keys, which go as soon as they are written, each would hold a slab on its own. */
export const cutKept = slabs()
