/** The chat as a person reads it: pure text, but for the colour. */
import { styleText } from 'node:util'
import type { ChatEvent } from '../../examples/chat/index.js'
import { clockTime, shortPeer } from '../../examples/mining-node/line.js'
import { printable } from '../chat/index.js'
import { DEFAULT_CHAT_PORT } from './chat-command.js'
import { addressLines, DEBUG_IDENTITY, row } from './screen.js'

/** What the first screen says. */
export interface ChatWelcome {
  version: string
  /** Milliseconds from the start of the process to listening. */
  readyMs: number
  peerId: string
  multiaddrs: string[]
  /** Undefined: the port was asked for, or is the default. */
  movedTo: number | undefined
  debugIdentity: boolean
  /** How this program was called, e.g. `npx blockwire`. */
  program: string
}

export function chatWelcomeLines(welcome: ChatWelcome): string[] {
  const { version, readyMs, peerId, multiaddrs, movedTo, debugIdentity, program } = welcome
  return [
    `blockwire ${version}   chat   ready in ${(readyMs / 1000).toFixed(1)} s`,
    row('you', peerId),
    ...(movedTo == null ? [] : [row('port', movedLine(movedTo))]),
    ...(debugIdentity ? [row('warning', DEBUG_IDENTITY)] : []),
    ...addressLines(multiaddrs, (address) => `${program} chat --dial ${address}`, 'see --host')
  ]
}

export function movedLine(port: number): string {
  return `${DEFAULT_CHAT_PORT} is taken, using ${port}`
}

/** The line for an event; undefined where nobody needs it. What a peer says can look like no other kind of line. */
export function chatLine(event: ChatEvent, now: number, colour: boolean): string | undefined {
  const style = (format: Parameters<typeof styleText>[0], text: string): string =>
    colour ? styleText(format, text, { validateStream: false }) : text
  const who = shortPeer(event.peer)
  switch (event.event) {
    case 'line':
      return `${clockTime(now)}  ${style('cyan', who)}  ${printable(event.text)}`
    case 'conversation':
      return `${clockTime(now)}  ${style('green', `-- ${who} joined`)}`
    case 'closed':
      // of our own doing: no news
      return event.reason === 'closed' || event.reason === 'stopped'
        ? undefined
        : `${clockTime(now)}  ${style('yellow', `-- ${who} left${WHY[event.reason]}`)}`
  }
}

const WHY = {
  left: '',
  lost: ': the connection was lost',
  slow: ': did not read what was sent',
  'too-large': ': sent a line of over 64 KiB',
  violation: ': sent what is no chat'
}
