/** The human's screen as text: no I/O, no colour of its own. */
import { styleText } from 'node:util'
import { dialable } from '../../examples/mining-node/address.js'
import { clockTime, count, duration, type Line, plural, rate, short } from '../../examples/mining-node/line.js'
import { DEFAULT_PORT } from './option.js'

/** What the first screen says. */
export interface Welcome {
  version: string
  network: string
  genesis: string
  /** Milliseconds from the start of the process to listening. */
  readyMs: number
  role: 'full' | 'seed'
  name: string
  peerId: string
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
  const { version, network, genesis, readyMs, data, height, program, blockTime } = welcome
  const command = (address: string): string =>
    `${program} node --seed ${address}${blockTime == null ? '' : ` --block-time ${blockTime}`}`
  return [
    `blockwire ${version}   network ${network}   genesis ${genesis.slice(0, 8)}   ready in ${(readyMs / 1000).toFixed(1)} s`,
    row('you', `${welcome.role === 'seed' ? 'seed, introduces peers' : welcome.name}   ${welcome.peerId}`),
    row(
      'data',
      data == null
        ? 'in memory: gone when this stops; --data DIR keeps it'
        : `${data} (${height === 0 ? 'new chain' : `#${count(height)}`})`
    ),
    ...(welcome.movedTo == null ? [] : [row('port', `${DEFAULT_PORT} is taken, using ${welcome.movedTo}`)]),
    ...(welcome.debugIdentity ? [row('warning', DEBUG_IDENTITY)] : []),
    ...addressLines(welcome.multiaddrs, command, 'see --host and --announce')
  ]
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

/** What the last line shows. */
export interface Live {
  state: 'alone' | 'seeding' | 'syncing' | 'mining' | 'synced' | 'stalled'
  height: number
  hash: string
  target: number
  hashrate: number
  peers: number
  pool: number
  upMs: number
}

/** The state's word from what the node says about itself. */
export function stateOf(node: { role: 'full' | 'seed'; sync: string; mining: boolean; peers: number }): Live['state'] {
  if (node.role === 'seed') return 'seeding'
  if (node.sync === 'stalled') return 'stalled'
  if (node.sync === 'headers' || node.sync === 'bodies') return 'syncing'
  if (node.mining) return 'mining'
  return node.peers === 0 ? 'alone' : 'synced'
}

export function liveLine({ state, height, hash, target, hashrate, peers, pool, upMs }: Live): string {
  const head = `head #${count(height)} ${short(hash)}`
  const rest = `${plural(peers, 'peer')}  pool ${pool} tx  up ${duration(upMs)}`
  if (state === 'seeding') return `seeding  ${plural(peers, 'peer')}  up ${duration(upMs)}`
  if (state === 'mining') return `mining #${count(height + 1)}  ${rate(hashrate)}  ${head}  ${rest}`
  if (state === 'syncing') return `syncing ${bar(height, target)} ${count(height)} of ${count(target)}  ${rest}`
  return `${state}  ${head}  ${rest}`
}

/** 20 characters wide. */
function bar(done: number, all: number): string {
  const full = all <= 0 ? 0 : Math.min(20, Math.floor((done / all) * 20))
  return `[${'#'.repeat(full)}${'-'.repeat(20 - full)}]`
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
