import { stripVTControlCharacters } from 'node:util'
import { live } from './live.js'
import { shorten, width } from './width.js'

/** Where lines go: above a live last line where stdout is a terminal, plain otherwise. */
export interface Output {
  readonly isTerminal: boolean
  /** Escape codes for colour may be written. */
  readonly colour: boolean
  /** One line that stays. */
  line(text: string): void
  /** Replaces the last line or lines; nothing happens where stdout is no terminal. */
  live(text: string): void
  /** Removes the live line; resolves when everything is handed to the system. */
  end(): Promise<void>
}

/** Writes to stdout. `onClosed` is called once when nobody reads it any more (EPIPE). */
export function openOutput(onClosed: () => void, stdout = process.stdout): Output {
  let open = true
  stdout.on('error', () => {
    if (!open) return
    open = false
    onClosed()
  })
  const isTerminal = stdout.isTTY === true
  const footer = isTerminal ? live((text) => stdout.write(text)) : undefined
  let last = ''
  return {
    isTerminal,
    colour: isTerminal && (process.env.NO_COLOR ?? '') === '' && stdout.hasColors(),
    line(text) {
      if (!open) return
      footer?.clear()
      stdout.write(`${text}\n`)
      footer?.draw(last)
    },
    live(text) {
      if (!open || footer == null) return
      const columns = Math.max(20, (stdout.columns ?? 80) - 1)
      last = text
        .split('\n')
        .map((line) => cut(line, columns))
        .join('\n')
      footer.draw(last)
    },
    end() {
      if (!open) return Promise.resolve()
      last = ''
      footer?.clear()
      return new Promise((resolve) => stdout.write('', () => resolve()))
    }
  }
}

/** Cuts a line that is too long, and with it its escape codes. */
function cut(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line)
  return width(plain) <= columns ? line : shorten(plain, columns)
}
