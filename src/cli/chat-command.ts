import type { Command } from 'commander'
import { ConfigError } from '../errors.js'
import { addLast, hostOption, portOption, seedOption } from './common-option.js'
import { checkDebugIdentity, DEFAULT_HOST, parseDial, parseName, parseRoom } from './option.js'

/** What `blockwire chat` was asked to do, checked. */
export interface ChatOptions {
  /** Undefined: the default port, or the next free one. 0: any. */
  port: number | undefined
  /** An IP address. */
  host: string
  /** Multiaddrs. */
  dial: string[]
  /** The room to be in. */
  room: string | undefined
  /** Whom to find others of the room through. */
  seeds: string[]
  /** What others see us as. */
  name: string | undefined
  color: boolean
  debugIdentity: boolean
  json: boolean
}

/** Tried first when no `--port` is given. */
export const DEFAULT_CHAT_PORT = 5001

/** Where those are who named none. */
export const DEFAULT_ROOM = 'lobby'

export function addChat(program: Command, version: string, action: (options: ChatOptions) => Promise<void>): void {
  const command = program
    .command('chat')
    .description('talk with others, line by line')
    .addOption(portOption(DEFAULT_CHAT_PORT))
    .addOption(hostOption())
    .option('-d, --dial <multiaddr>', 'somebody to talk with; may be repeated or comma-separated', parseDial)
    .option('--room <name>', 'be in a room: all who are in it hear each other, through others too', parseRoom)
    .addOption(seedOption(`somebody of the room, tried until it is there (without --room: ${DEFAULT_ROOM})`))
    .option('--name <nickname>', 'what others in the room see, at most 32 bytes', parseName)
    .option('--no-color', 'no colours, as with NO_COLOR in the environment')
  addLast(command, version, 'write events to stdout, one JSON object a line; lines of stdin are sent')
    .addHelpText(
      'after',
      `
Examples:
  $ blockwire chat
      wait for others; prints the command for the next terminal
  $ blockwire chat --dial /ip4/127.0.0.1/tcp/5001/p2p/12D3KooW...
      talk with that one; give -d more than once to talk with several
  $ blockwire chat --room lobby --name ana
      a room for any number; prints the command for the next one
  $ echo hi | blockwire chat -d /ip4/127.0.0.1/tcp/5001/p2p/12D3KooW...
      say it and end
  $ blockwire chat --json | jq -r 'select(.event == "line").text'
      events for programs

What you type goes to everyone you are connected with, and to the room. At a terminal, /help lists the commands.
Ctrl-C or Ctrl-D ends.
`
    )
    .action(async (given: Partial<Omit<ChatOptions, 'seeds'>> & { seed?: string[] }) => {
      const {
        port,
        host = DEFAULT_HOST,
        dial = [],
        seed = [],
        name,
        color = true,
        debugIdentity = false,
        json = false
      } = given
      checkDebugIdentity({ debugIdentity, port })
      const room = given.room ?? (seed.length > 0 ? DEFAULT_ROOM : undefined)
      if (room == null && name != null) {
        throw new ConfigError('--name', 'is what others see in a room', { fix: 'add --room, e.g. --room lobby' })
      }
      for (const address of room == null ? [] : dial) checkWhole(address)
      await action({ port, host, dial, room, seeds: seed, name, color, debugIdentity, json })
    })
}

/** A room keeps its connections, and so must know with whom. */
function checkWhole(address: string): void {
  if (/\/p2p\/[^/]+$/.test(address)) return
  throw new ConfigError('--dial', `with --room, '${address}' must end in /p2p/<peer ID>`, {
    fix: 'take the whole address that the other side shows'
  })
}
