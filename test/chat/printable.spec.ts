import { printable } from 'blockwire/chat'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

describe('printable text', () => {
  it.each([
    ['colours and movements', 'a\u001b[31mred\u001b[2J\u001b]0;title\u0007b', 'a[31mred[2J]0;titleb'],
    ['C0, DEL and C1', 'a\u0000\u0008\r\u007f\u0085\u009b31mb', 'a31mb'],
    ['directions', '\u202eabc\u2066\u200f\u061cd', 'abcd'],
    ['separators and invisible ones', 'a\u2028b\u2029c\u200b\ufeff\u2060d', 'abcd'],
    ['halves of pairs, private and tag characters', 'a\ud800b\ue000c\u{e0041}', 'abc'],
    ['tabs', 'a\tb', 'a b'],
    ['nothing of what people write', 'ok? 小明 👩‍👩‍👧 می‌خواهم שלום é́', 'ok? 小明 👩‍👩‍👧 می‌خواهم שלום é́']
  ])('loses %s', (_what, text, shown) => {
    expect(printable(text)).toBe(shown)
  })

  it('never holds what a terminal obeys, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/)
      })
    )
  })
})
