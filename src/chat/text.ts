import { ConfigError } from '../errors.js'

/** Longest line, in bytes of UTF-8 without its `\n`. */
export const MAX_LINE_BYTES = 65_536

/** The event loop gets a turn at least this often, however many lines are at hand. */
const FAIR_MS = 20

const encoder = new TextEncoder()

/**
 * A line as it travels, without its `\n`. Halves of surrogate pairs become U+FFFD.
 *
 * @throws ConfigError when it holds a line break or is too long
 */
export function encodeLine(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes('\n')) {
    throw new ConfigError('text', 'holds a line break', { fix: 'send each line by itself' })
  }
  const line = encoder.encode(text)
  if (line.byteLength > MAX_LINE_BYTES) {
    throw new ConfigError('text', `has ${line.byteLength} bytes, a line may have ${MAX_LINE_BYTES}`, {
      fix: 'send it in several lines'
    })
  }
  return line
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** What is no UTF-8 becomes U+FFFD. */
export function decodeText(line: Uint8Array): string {
  return decoder.decode(line)
}

/** Lines ended by `\n` as text; a `\r` before it belongs to the end. */
export async function* decodeLines(lines: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let since = performance.now()
  for await (const line of lines) {
    const text = decodeText(line)
    yield text.endsWith('\r') ? text.slice(0, -1) : text
    if (performance.now() - since < FAIR_MS) continue
    await new Promise((resolve) => setTimeout(resolve))
    since = performance.now()
  }
}
