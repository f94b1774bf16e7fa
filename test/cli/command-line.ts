import type { ChatOptions } from '../../dist/src/cli/chat-command.js'
import type { NodeOptions } from '../../dist/src/cli/node-command.js'
import { run } from '../../dist/src/cli/program.js'
import type { SeedOptions } from '../../dist/src/cli/seed-command.js'
import type { SendOptions } from '../../dist/src/cli/send-command.js'
import type { WalletOptions } from '../../dist/src/cli/wallet-command.js'

/** Runs a command line and gives what the action of its command got, the exit code, and what was written. */
export async function parse(...args: string[]) {
  const got: {
    node?: NodeOptions
    seed?: SeedOptions
    chat?: ChatOptions
    wallet?: WalletOptions
    send?: SendOptions
  } = {}
  let out = ''
  let err = ''
  const action =
    <Name extends keyof typeof got>(name: Name) =>
    async (options: (typeof got)[Name]) => {
      got[name] = options
      return 0
    }
  const code = await run(
    args,
    '1.2.3',
    {
      node: action('node'),
      seed: action('seed'),
      chat: action('chat'),
      wallet: action('wallet'),
      send: action('send')
    },
    {
      out: (text) => {
        out += text
      },
      err: (text) => {
        err += text
      }
    }
  )
  return { got, code, out, err, lines: err.trimEnd().split('\n') }
}
