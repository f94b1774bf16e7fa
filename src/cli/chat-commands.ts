/** What a person can ask for while chatting: pure text. */
import { shortPeer } from '../../examples/mining-node/line.js'
import { printable } from '../chat/index.js'
import { whoText } from './chat-screen.js'

/** What the commands look at. */
export interface ChatView {
  peerId: string
  room: { name: string; nickname: string; members: { peer: string; nickname: string }[] } | undefined
  conversations: { peer: string; connected: boolean; waiting: number }[]
  connections: { peer: string; address: string; direction: string }[]
}

const HELP = [
  '/who    who hears what you say',
  '/peers  who is connected, and where',
  '/quit   say goodbye and end; Ctrl-C does too',
  '//...   say a line that begins with /'
]

/** What to do with a line: say it, show an answer to it, or end. */
export function commandLines(text: string, chat: ChatView): { say: string } | string[] | 'quit' {
  if (!text.startsWith('/')) return { say: text }
  if (text.startsWith('//')) return { say: text.slice(1) }
  switch (text.trim()) {
    case '/quit':
      return 'quit'
    case '/help':
      return HELP
    case '/who':
      return whoLines(chat)
    case '/peers':
      return peerLines(chat)
    default:
      return [`${printable(text)} is no command: /help lists them`]
  }
}

function whoLines({ peerId, room, conversations }: ChatView): string[] {
  const members =
    room == null ? [] : room.members.map(({ peer, nickname }) => `${whoText(peer, nickname)}   in ${room.name}`)
  const partners = conversations.map(
    ({ peer, connected, waiting }) =>
      `${shortPeer(peer)}${connected ? '' : '   gone, waiting for it'}${waiting > 0 ? `   ${waiting} lines on their way` : ''}`
  )
  const others = [...members, ...partners]
  return [`${whoText(peerId, room?.nickname ?? '')}   you`, ...(others.length === 0 ? ['nobody else is here'] : others)]
}

function peerLines({ connections }: ChatView): string[] {
  if (connections.length === 0) return ['nobody is connected']
  return connections.map(
    ({ peer, address, direction }) =>
      `${shortPeer(peer)}   ${direction === 'inbound' ? 'came from' : 'dialled at'} ${printable(address.replace(/\/p2p\/\w+$/, ''))}`
  )
}
