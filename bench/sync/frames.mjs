// Length-prefixed frames (u32, little-endian) gathered into large sends: the wire of the frozen prototype.

/** Bytes of a send: it fits into one frame of yamux and of noise. */
const SEND_BYTES = 65_500

/** @param {Uint8Array} bytes @param {number} at @param {number} value */
export function writeU32(bytes, at, value) {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/** @param {Uint8Array} bytes @param {number} at */
export function readU32(bytes, at) {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
}

/**
 * Cuts what arrives into frames; pieces are joined only when a frame is whole.
 *
 * @param {(frame: Uint8Array) => void} onFrame
 * @returns {(data: Uint8Array | import('uint8arraylist').Uint8ArrayList) => void}
 */
export function frames(onFrame) {
  /** @type {Uint8Array[]} */
  let rest = []
  let length = 0
  return (data) => {
    let bytes = data instanceof Uint8Array ? data : data.subarray()
    if (rest.length > 0) {
      rest.push(bytes)
      length += bytes.length
      if (rest[0].length >= 4 && length < 4 + readU32(rest[0], 0)) return
      bytes = Buffer.concat(rest, length)
      rest = []
    }
    let at = 0
    while (at + 4 <= bytes.length) {
      const end = at + 4 + readU32(bytes, at)
      if (end > bytes.length) break
      onFrame(bytes.subarray(at + 4, end))
      at = end
    }
    if (at < bytes.length) {
      rest = [bytes.subarray(at)]
      length = bytes.length - at
    }
  }
}

/** Gathers frames and sends them; waits while the stream is full. */
export class Sender {
  #buffer = Buffer.allocUnsafe(SEND_BYTES)
  #length = 0

  /** @param {import('@libp2p/interface').Stream} stream */
  constructor(stream) {
    this.stream = stream
  }

  /** Whether the frame fitted: no promise for a small one. @param {Uint8Array} bytes */
  fits(bytes) {
    if (this.#length + 4 + bytes.length > SEND_BYTES) return false
    writeU32(this.#buffer, this.#length, bytes.length)
    this.#buffer.set(bytes, this.#length + 4)
    this.#length += 4 + bytes.length
    return true
  }

  /** @param {Uint8Array} bytes */
  async put(bytes) {
    if (bytes.length < 4_096 || this.#length + 4 > SEND_BYTES) await this.flush()
    if (this.fits(bytes)) return
    writeU32(this.#buffer, this.#length, bytes.length)
    this.#length += 4
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(SEND_BYTES - this.#length, bytes.length - at)
      this.#buffer.set(bytes.subarray(at, at + count), this.#length)
      this.#length += count
      at += count
      if (this.#length === SEND_BYTES) await this.flush()
    }
  }

  async flush() {
    if (this.#length === 0) return
    const sent = this.stream.send(this.#buffer.subarray(0, this.#length))
    this.#buffer = Buffer.allocUnsafe(SEND_BYTES)
    this.#length = 0
    if (!sent) await new Promise((resolve) => this.stream.addEventListener('drain', resolve, { once: true }))
  }
}
