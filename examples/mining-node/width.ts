/** How many columns of a terminal a text takes. Pure; good enough for names, not a copy of Unicode's tables. */

/** First and last code points that take two columns: East Asian scripts and fullwidth forms. */
const WIDE = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff],
  [0x1aff0, 0x1b2ff],
  [0x20000, 0x3fffd]
] as const

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Columns of a text without escape codes and control characters. Marks that combine take none, East Asian letters and emoji two. */
export function width(text: string): number {
  let columns = 0
  for (const { segment } of segmenter.segment(text)) columns += columnsOf(segment)
  return columns
}

/** The text, or as much of its beginning as fits, without cutting a character in half. */
export function shorten(text: string, columns: number): string {
  let taken = 0
  let end = 0
  for (const { segment, index } of segmenter.segment(text)) {
    taken += columnsOf(segment)
    if (taken > columns) return text.slice(0, end)
    end = index + segment.length
  }
  return text
}

/** Filled with spaces on the right; longer texts stay as they are. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)))
}

function columnsOf(grapheme: string): number {
  const first = grapheme.codePointAt(0)!
  if (first < 0x7f) return grapheme.includes('\ufe0f') ? 2 : 1
  if (/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(grapheme)) return 0
  // emoji by themselves, flags, and what the variation selector makes one
  if (/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme)) return 2
  return WIDE.some(([from, to]) => first >= from && first <= to) ? 2 : 1
}
