import { toHex } from '../hex.js'

/** y of the eight points of small order: 0, 1, p - 1, and the two of order 8. */
const SMALL = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'
])

/** Their first bytes: what begins otherwise, and not as p and more do, needs no second look. */
const FIRST = new Set([...SMALL].map((hex) => Number.parseInt(hex.slice(0, 2), 16)))

/**
 * May this encoded point stand in a key or a signature? Not when it is of small order, nor when y is p or more. Node began to refuse
 * points of small order in the middle of 2026 (nodejs/node pull request 64026): unless we do it, old and new nodes split the chain.
 */
export function isSound(point: Uint8Array): boolean {
  if (!FIRST.has(point[0]!) && !(point[0]! >= 0xed && point[1] === 0xff)) return true
  const y = point.slice()
  y[31]! &= 0x7f
  let atLeastP = y[0]! >= 0xed && y[31] === 0x7f
  for (let i = 1; i < 31 && atLeastP; i++) atLeastP = y[i] === 0xff
  return !atLeastP && !SMALL.has(toHex(y))
}
