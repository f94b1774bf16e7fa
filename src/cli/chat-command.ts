import type { Command } from 'commander'
import { addLast, hostOption, portOption } from './common-option.js'
import { checkDebugIdentity, DEFAULT_HOST, parseDial } from './option.js'

/** What `blockwire chat` was asked to do, checked. */
export interface ChatOptions {
  /** Undefined: the default port, or the next free one. 0: any. */
  port: number | undefined
  /** An IP address. */
  host: string
  /** Multiaddrs. */
  dial: string[]
  debugIdentity: boolean
  json: boolean
}

/** Tried first when no `--port` is given. */
export const DEFAULT_CHAT_PORT = 5001

export function addChat(program: Command, version: string, action: (options: ChatOptions) => Promise<void>): void {
  const command = program
    .command('chat')
    .description('talk with others, line by line')
    .addOption(portOption(DEFAULT_CHAT_PORT))
    .addOption(hostOption())
    .option('-d, --dial <multiaddr>', 'somebody to talk with; may be repeated or comma-separated', parseDial)
  addLast(command, version, 'write events to stdout, one JSON object a line; lines of stdin are sent')
    .addHelpText(
      'after',
      `
Examples:
  $ blockwire chat
      wait for others; prints the command for the next terminal
  $ blockwire chat --dial /ip4/127.0.0.1/tcp/5001/p2p/12D3KooW...
      talk with that one; give -d more than once to talk with several
  $ echo hi | blockwire chat -d /ip4/127.0.0.1/tcp/5001/p2p/12D3KooW...
      say it and end
  $ blockwire chat --json | jq -r 'select(.event == "line").text'
      events for programs

What you type goes to everyone you are connected with. Ctrl-C or Ctrl-D ends.
`
    )
    .action(async (given: Partial<ChatOptions>) => {
      const { port, host = DEFAULT_HOST, dial = [], debugIdentity = false, json = false } = given
      checkDebugIdentity({ debugIdentity, port })
      await action({ port, host, dial, debugIdentity, json })
    })
}
