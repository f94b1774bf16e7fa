/**
 * Text from strangers for a terminal or a log, in one line: without control characters (C0, C1, with them the beginning of every
 * escape sequence), marks that turn the direction of writing, other invisible ones, line and paragraph separators, halves of
 * surrogate pairs and private characters. Tabs become spaces. The joiners that emoji and some scripts need stay.
 */
export function printable(text: string): string {
  return text.replaceAll('\t', ' ').replace(UNSAFE, '')
}

// Cc control, Cf format (directions, zero width), Cs surrogate, Co private use, Zl and Zp separators
const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu
