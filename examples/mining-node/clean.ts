/**
 * Text from strangers, made harmless for a terminal: control characters (with them all escape sequences), line and paragraph
 * separators, marks that turn the direction of writing or are invisible, and halves of surrogate pairs become `?`. Longer than
 * `max` characters is cut with `...`.
 */
export function clean(text: string, max = 400): string {
  const chars = [...text].map((char) => (UNSAFE.test(char) ? '?' : char))
  return chars.length > max ? `${chars.slice(0, Math.max(0, max - 3)).join('')}...` : chars.join('')
}

// Cc control, Cf format (directions, zero width), Cs surrogate, Co private use, Zl and Zp separators
const UNSAFE = /^[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]$/u
