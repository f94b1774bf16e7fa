/** The human's screen as text: no I/O, no colour of its own. */
import { styleText } from 'node:util'
import { dialable } from '../../examples/mining-node/address.js'
import { clockTime, count, type Line, middleOut } from '../../examples/mining-node/line.js'
import { DEFAULT_PORT } from './option.js'

/** What the first screen says. */
export interface Welcome {
  version: string
  network: string
  genesis: string
  /** Milliseconds from the start of the process to listening. */
  readyMs: number
  role: 'full' | 'light' | 'seed'
  name: string
  peerId: string
  /** Where rewards go, hex; undefined where none can be won. */
  wallet?: string | undefined
  /** Undefined: in memory. */
  data: string | undefined
  height: number
  /** Undefined: the port was asked for, or is the default. */
  movedTo: number | undefined
  debugIdentity: boolean
  multiaddrs: string[]
  /** How this program was called, e.g. `npx blockwire`. */
  program: string
  /** Undefined: the chain's default; otherwise the others need it too. */
  blockTime: number | undefined
}

export const DEBUG_IDENTITY = '--debug-identity: anyone can make this key; for tests only'

export function welcomeLines(welcome: Welcome): string[] {
  const { version, network, genesis, readyMs, program, blockTime } = welcome
  const command = (address: string): string =>
    `${program} node --seed ${address}${blockTime == null ? '' : ` --block-time ${blockTime}`}`
  return [
    `blockwire ${version}   network ${network}   genesis ${genesis.slice(0, 8)}   ready in ${(readyMs / 1000).toFixed(1)} s`,
    row('you', `${whoText(welcome)}   ${middleOut(welcome.peerId)}`),
    ...(welcome.wallet == null ? [] : [row('wallet', welcome.wallet)]),
    row('data', dataText(welcome)),
    ...(welcome.movedTo == null ? [] : [row('port', `${DEFAULT_PORT} is taken, using ${welcome.movedTo}`)]),
    ...(welcome.debugIdentity ? [row('warning', DEBUG_IDENTITY)] : []),
    ...addressLines(welcome.multiaddrs, command, 'see --host and --announce')
  ]
}

function whoText({ role, name }: Welcome): string {
  if (role === 'light') return 'light, keeps headers and checks no state'
  return role === 'seed' ? 'seed, introduces peers' : name
}

/** A seed has no chain to lose, but an address that others wrote down. */
function dataText({ role, data, height }: Welcome): string {
  if (role === 'seed') {
    return data == null ? 'in memory: another address after each start; --data DIR keeps it' : data
  }
  if (data == null) return 'in memory: gone when this stops; --data DIR keeps it'
  return `${data} (${height === 0 ? 'new chain' : `#${count(height)}`})`
}

/** Where others reach us, and the commands for it; `hint` is what to do where nobody can. */
export function addressLines(multiaddrs: string[], command: (address: string) => string, hint: string): string[] {
  const addresses = dialable(multiaddrs)
  const near = addresses.find(({ reach }) => reach === 'this computer') ?? addresses[0]
  const far = addresses.find(({ reach }) => reach === 'other computers')
  return [
    ...addresses.map(({ address, reach }) => row('address', `${address}   ${reach}`)),
    ...(near == null
      ? [row('address', `none that others can dial; ${hint}`)]
      : [row('next', `in another terminal:  ${command(near.address)}`)]),
    ...(far == null || far === near ? [] : [row('', `on another computer:  ${command(far.address)}`)])
  ]
}

/** A line of the log with its time. */
export function logLine(line: Line, now: number, colour: boolean): string {
  const style = { good: 'green', plain: 'cyan', warn: 'yellow', bad: 'red' } as const
  const word = line.word.padEnd(7)
  return `${clockTime(now)}  ${colour ? styleText(style[line.tone], word, { validateStream: false }) : word} ${line.text}`
}

/** A line of the first screen. */
export function row(label: string, text: string): string {
  return `  ${label.padEnd(8)} ${text}`
}
