import { describe, expect, it } from 'vitest'
import { live } from '../../dist/examples/mining-node/live.js'

/** What a terminal shows after all that was written: understands only what is used. */
function screen(written: string): string[] {
  const lines: string[] = ['']
  let row = 0
  let column = 0
  for (let rest = written; rest !== ''; ) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal looks for them
    const [code, count, command] = /^\u001b\[(\d*)([AJ])/.exec(rest) ?? []
    if (command === 'A') row = Math.max(0, row - Number(count))
    if (command === 'J') lines.splice(row, lines.length, lines[row]!.slice(0, column))
    if (code == null && rest[0] === '\n') lines[++row] ??= ''
    if (code == null && (rest[0] === '\r' || rest[0] === '\n')) column = 0
    else if (code == null) lines[row] = lines[row]!.slice(0, column++) + rest[0]
    rest = rest.slice(code?.length ?? 1)
  }
  return lines
}

describe('the live lines', () => {
  it('are drawn over, whatever their number, and leave what stands above', () => {
    let written = 'stays\n'
    const writes: string[] = []
    const footer = live((text) => {
      writes.push(text)
      written += text
    })
    footer.draw('one')
    expect(screen(written)).toEqual(['stays', 'one', ''])
    footer.draw('two\nlines')
    expect(screen(written)).toEqual(['stays', 'two', 'lines', ''])
    footer.draw('short')
    expect(screen(written)).toEqual(['stays', 'short', ''])
    footer.draw('short')
    expect(writes).toHaveLength(3)
    footer.clear()
    footer.clear()
    expect(writes).toHaveLength(4)
    written += 'more\n'
    footer.draw('again')
    expect(screen(written)).toEqual(['stays', 'more', 'again', ''])
    footer.draw('')
    expect(screen(written)).toEqual(['stays', 'more', ''])
  })

  it('survive what the user types into them', () => {
    let written = ''
    const footer = live((text) => {
      written += text
    })
    footer.draw('line')
    written += '^C'
    footer.clear()
    expect(screen(written)).toEqual([''])
  })
})
