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
  /** Undefined: in none. */
  room: string | undefined
  name: string | undefined
  /** Undefined: the port was asked for, or is the default. */
  movedTo: number | undefined
  debugIdentity: boolean
  /** How this program was called, e.g. `npx blockwire`. */
  program: string
}

export function chatWelcomeLines(welcome: ChatWelcome): string[] {
  const { version, readyMs, peerId, multiaddrs, room, name, movedTo, debugIdentity, program } = welcome
  const others = room == null ? 'chat --dial' : `chat --room ${room} --seed`
  return [
    `blockwire ${version}   chat   ready in ${(readyMs / 1000).toFixed(1)} s`,
    row('you', name == null ? peerId : `${whoText(peerId, name)}   ${peerId}`),
    ...(room == null ? [] : [row('room', `${room}   /help lists the commands`)]),
    ...(movedTo == null ? [] : [row('port', movedLine(movedTo))]),
    ...(debugIdentity ? [row('warning', DEBUG_IDENTITY)] : []),
    ...addressLines(multiaddrs, (address) => `${program} ${others} ${address}`, 'see --host')
  ]
}

export function movedLine(port: number): string {
  return `${DEFAULT_CHAT_PORT} is taken, using ${port}`
}

/** Whom a line is of. Anybody may take any name: the end of the peer ID tells two of one name apart. */
export function whoText(peer: string, name: string): string {
  const shown = printable(name).trim()
  return shown === '' ? shortPeer(peer) : `${shown}~${peer.slice(-4)}`
}

/** The line for an event; undefined where nobody needs it. What a peer says can look like no other kind of line. */
export function chatLine(event: ChatEvent, now: number, colour: boolean): string | undefined {
  const style = (format: Parameters<typeof styleText>[0], text: string): string =>
    colour ? styleText(format, text, { validateStream: false }) : text
  const news = (format: 'green' | 'yellow', text: string): string => `${clockTime(now)}  ${style(format, `-- ${text}`)}`
  const said = (at: number, who: string, text: string): string =>
    `${clockTime(at)}  ${style('cyan', who)}  ${printable(text)}`
  switch (event.event) {
    case 'line':
      return said(now, shortPeer(event.peer), event.text)
    case 'message':
      return said(event.time, whoText(event.peer, event.name), event.text)
    case 'conversation': {
      const how = event.delivery === 'unconfirmed' ? ' (cannot say what arrives)' : ''
      return news('green', `${shortPeer(event.peer)} joined${how}`)
    }
    case 'join':
      return news('green', `${whoText(event.peer, event.name)} joined`)
    case 'away':
      return news('yellow', `${shortPeer(event.peer)} is gone: the connection was lost; waiting for it to come back`)
    case 'back':
      return news('green', `${shortPeer(event.peer)} is back`)
    case 'leave':
      return news(
        'yellow',
        `${whoText(event.peer, event.name)} left${event.reason === 'left' ? '' : ': nothing is heard of it'}`
      )
    case 'seed':
      return event.error == null ? undefined : news('yellow', seedText(event.address, event.error, event.nextMs))
    case 'closed':
      // of our own doing: no news
      return event.reason === 'closed' || event.reason === 'stopped'
        ? undefined
        : news('yellow', `${shortPeer(event.peer)} left${WHY[event.reason]}`)
  }
}

function seedText(address: string, error: string, nextMs: number | undefined): string {
  const next = nextMs == null ? '' : `; again in ${Math.ceil(nextMs / 1_000)} s`
  return `${printable(address)} is not there: ${printable(error).slice(0, 200)}${next}`
}

const WHY = {
  left: '',
  lost: ': the connection was lost',
  slow: ': did not read what was sent',
  'too-large': ': sent a line of over 64 KiB',
  violation: ': sent what is no chat'
}
