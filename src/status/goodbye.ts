/** Why a connection is given up, as sent in `Goodbye.code`. Codes that are not listed here are tolerated. */
export const GoodbyeCode = {
  network: 1,
  genesis: 2,
  fork: 3,
  tooManyPeers: 4,
  shuttingDown: 5,
  fault: 6,
  duplicate: 7,
  idle: 8
} as const
export type GoodbyeCode = (typeof GoodbyeCode)[keyof typeof GoodbyeCode]

const WORDS: Record<number, string> = {
  1: 'another network',
  2: 'another genesis',
  3: 'another fork',
  4: 'too many peers',
  5: 'shutting down',
  6: 'fault',
  7: 'duplicate connection',
  8: 'idle'
}

/** A goodbye in words. */
export function goodbyeReason(code: number): string {
  return WORDS[code] ?? `goodbye ${code}`
}

/** Text from a stranger that may be shown to people: no control or format characters, at most `maxBytes` of UTF-8. */
export function cleanText(text: string, maxBytes = 256): string {
  let clean = ''
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0)!
    const shown = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u.test(character) ? '?' : character
    bytes += shown === '?' || code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    if (bytes > maxBytes) break
    clean += shown
  }
  return clean
}
