/** The demo's lines and live table as text. Pure. */
import { styleText } from 'node:util'
import { clean } from '../mining-node/clean.js'
import { count, short } from '../mining-node/line.js'

export interface Row {
  name: string
  state: string
  head: { height: number; hash: string } | undefined
  mined: number
  peers: number
}

const COLOURS = ['gray', 'green', 'cyan', 'magenta', 'yellow'] as const

/** A node's name as the prefix of its lines, in the colour of its place. */
export function prefix(name: string, place: number, colour: boolean): string {
  const text = name.padEnd(6)
  return colour ? styleText(COLOURS[place % COLOURS.length]!, text, { validateStream: false }) : text
}

export function table(rows: Row[], colour: boolean): string {
  const lines = rows.map(
    ({ name, state, head, mined, peers }, place) =>
      `${prefix(name, place, colour)} ${clean(state, 9).padEnd(9)} ${headOf(head).padEnd(16)} ${String(mined).padStart(5)}  ${String(peers).padStart(5)}`
  )
  return [`${'node'.padEnd(6)} ${'state'.padEnd(9)} ${'head'.padEnd(16)} mined  peers`, ...lines].join('\n')
}

export function resultLines(result: { agreed: boolean; rows: Row[]; wins: Record<string, number> }): string[] {
  const { agreed, rows, wins } = result
  if (!agreed) return [`not agreed: ${rows.map(({ name, head }) => `${name} ${headOf(head)}`).join(', ')}`]
  const won = Object.entries(wins)
    .sort(([, a], [, b]) => b - a)
    .map(([name, blocks]) => `${clean(name, 32)} ${blocks}`)
  return [`agreed: ${rows.length} nodes share ${headOf(rows[0]?.head)}`, `wins: ${won.join(', ')}`]
}

function headOf(head: Row['head']): string {
  return head == null ? '#0' : `#${count(head.height)} ${short(head.hash)}`
}
