const CHUNK = 256

/** Bytes as a string of one character each: the cheapest key of a Map. Not for people: see toHex. */
export function keyOf(bytes: Uint8Array): string {
  if (bytes.length <= CHUNK) return String.fromCharCode.apply(null, bytes as unknown as number[])
  let text = ''
  for (let i = 0; i < bytes.length; i += CHUNK) text += keyOf(bytes.subarray(i, i + CHUNK))
  return text
}
