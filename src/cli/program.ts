import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../errors.js'
import { addChat, type ChatOptions } from './chat-command.js'
import { type Failure, failureLines, failureOf } from './failure.js'
import { addNode, type NodeOptions } from './node-command.js'
import { addSeed, type SeedOptions } from './seed-command.js'
import { addSend, type SendOptions } from './send-command.js'
import { addWallet, type WalletOptions } from './wallet-command.js'

/** What runs behind each command. */
export interface Actions {
  node(options: NodeOptions): Promise<number>
  seed(options: SeedOptions): Promise<number>
  chat(options: ChatOptions): Promise<number>
  wallet(options: WalletOptions): Promise<number>
  send(options: SendOptions): Promise<number>
}

/** Where help and errors are written. */
export interface Streams {
  out(text: string): void
  err(text: string): void
}

const EXAMPLES = `
Examples:
  $ blockwire node --mine
  $ blockwire seed
  $ blockwire chat
  $ blockwire wallet new
  $ blockwire node --help
`

/** Runs the command line and ends the process with its exit code. Never rejects. */
export async function main(args: string[]): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const fail = (err: unknown): never => {
    const failure = failureOf(err)
    for (const line of failureLines(failure)) console.error(line)
    if (failure.code === 'BW_INTERNAL' && err instanceof Error) console.error(err.stack)
    return process.exit(1)
  }
  process.on('uncaughtException', fail)
  process.stderr.on('error', () => {})
  const code = await run(args, version, {
    async node(options) {
      // loaded only now: --help and a wrong option need no network
      const { runNode } = await import('./node.js')
      return runNode(options, version)
    },
    async seed(options) {
      const { runSeed } = await import('./seed.js')
      return runSeed(options, version)
    },
    async chat(options) {
      const { runChat } = await import('./chat.js')
      return runChat(options, version)
    },
    async wallet(options) {
      const { runWallet } = await import('./wallet.js')
      return runWallet(options)
    },
    async send(options) {
      const { runSend } = await import('./send.js')
      return runSend(options)
    }
  }).catch(fail)
  process.exit(code)
}

/** Parses and runs. Resolves with the exit code: 2 and one line with a hint where the command line is wrong. */
export async function run(
  args: string[],
  version: string,
  actions: Actions,
  streams: Streams = { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) }
): Promise<number> {
  let exit = 0
  const program = new Command('blockwire')
    .description('The network of a blockchain: run a node of a small proof-of-work chain, or talk with others.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .exitOverride()
    .configureOutput({ writeOut: streams.out, writeErr: streams.err, outputError: () => {} })
    .addHelpText('after', EXAMPLES)
  addNode(program, version, async (options) => {
    exit = await actions.node(options)
  })
  addSeed(program, version, async (options) => {
    exit = await actions.seed(options)
  })
  addChat(program, version, async (options) => {
    exit = await actions.chat(options)
  })
  addWallet(program, version, async (options) => {
    exit = await actions.wallet(options)
  })
  addSend(program, version, async (options) => {
    exit = await actions.send(options)
  })
  let at = 'blockwire'
  program.hook('preSubcommand', (_program, sub) => {
    at = `blockwire ${sub.name()}`
  })
  try {
    if (args.length === 0) {
      streams.out(program.helpInformation())
      return 0
    }
    await program.parseAsync(args, { from: 'user' })
    return exit
  } catch (err) {
    if (err instanceof CommanderError && err.exitCode === 0) return 0
    const failure = usageFailure(err)
    for (const line of failureLines(failure, at)) streams.err(`${line}\n`)
    return failure.exit
  }
}

/** Commander's message in one line, as our own kind of failure; others as they are. */
function usageFailure(err: unknown): Failure {
  if (!(err instanceof CommanderError)) return failureOf(err)
  const message = err.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')
  return failureOf(new ConfigError('command line', message))
}
