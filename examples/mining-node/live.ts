/** Lines at the end of a terminal that are drawn over. */
export interface Live {
  /** Replaces what is drawn. No line may be wider than the terminal. */
  draw(text: string): void
  /** Removes it; `draw` begins anew. */
  clear(): void
}

/** @param write takes text and escape codes; each call is one whole step, so that nothing flickers */
export function live(write: (text: string) => void): Live {
  let drawn = ''
  const erase = (): string => {
    if (drawn === '') return ''
    // to the first column, up to the first line, and away with everything below
    return `\r\u001b[${drawn.split('\n').length}A\u001b[J`
  }
  return {
    draw(text) {
      if (text === drawn) return
      write(text === '' ? erase() : `${erase()}${text}\n`)
      drawn = text
    },
    clear() {
      if (drawn !== '') write(erase())
      drawn = ''
    }
  }
}
