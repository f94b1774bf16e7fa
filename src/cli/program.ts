import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../errors.js'
import { addChat, type ChatOptions } from './chat-command.js'
import { type Failure, failureLines, failureOf } from './failure.js'
import {
  checkTogether,
  DEFAULT_HOST,
  DEFAULT_PORT,
  type NodeOptions,
  parseAnnounce,
  parseBlockTime,
  parseHost,
  parseName,
  parsePort,
  parseRole,
  parseSeeds,
  parseThreads
} from './option.js'

/** What runs behind each command. */
export interface Actions {
  node(options: NodeOptions): Promise<number>
  chat(options: ChatOptions): Promise<number>
}

/** Where help and errors are written. */
export interface Streams {
  out(text: string): void
  err(text: string): void
}

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
    async chat(options) {
      const { runChat } = await import('./chat.js')
      return runChat(options, version)
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
    .addHelpText('after', '\nExamples:\n  $ blockwire node --mine\n  $ blockwire chat\n  $ blockwire node --help\n')
  addNode(program, version, async (options) => {
    exit = await actions.node(options)
  })
  addChat(program, version, async (options) => {
    exit = await actions.chat(options)
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

function addNode(program: Command, version: string, action: (options: NodeOptions) => Promise<void>): void {
  program
    .command('node')
    .description('run a node: find peers, keep the chain, mine')
    .option(
      '-p, --port <number>',
      `TCP port to listen on, 0: any (default ${DEFAULT_PORT}, or the next free one)`,
      parsePort
    )
    .option('--host <address>', 'IP address to listen on', parseHost, DEFAULT_HOST)
    .option('--announce <multiaddr>', 'address to give to others, e.g. of your router; may be repeated', parseAnnounce)
    .option('-m, --mine', 'mine blocks', false)
    .option('--threads <number>', 'threads that mine (default: all cores but one)', parseThreads)
    .option(
      '--seed <multiaddr>',
      'a node to join through, ending in /p2p/<peer ID>; may be repeated or comma-separated',
      parseSeeds
    )
    .option('--data <directory>', 'keep chain and identity there (default: in memory)')
    .option('--name <text>', 'stands in the blocks that you win, at most 32 bytes', parseName)
    .option('--role <role>', 'full: keep the chain; seed: only introduce peers to each other', parseRole, 'full')
    .option('--block-time <seconds>', 'time between blocks; all nodes of a chain need the same', parseBlockTime)
    .option('--debug-identity', 'identity made from the port, known to everyone: for tests only', false)
    .option('--json', 'write events to stdout, one JSON object a line', false)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText(
      'after',
      `
Examples:
  $ blockwire node --mine
      a chain of your own; prints the command for the next terminal
  $ blockwire node --mine --seed /ip4/127.0.0.1/tcp/5000/p2p/12D3KooW...
      join it and compete
  $ blockwire node --mine --data ./alice --name alice --port 5001
      keep chain and identity, choose name and port
  $ blockwire node --role seed --port 5000
      a meeting point without a chain
  $ blockwire node --json | jq 'select(.event == "head")'
      events for programs

Ctrl-C stops and saves; a second Ctrl-C stops at once.
`
    )
    .action(async (given: Record<string, unknown>) => {
      await action(nodeOptions(given))
    })
}

/** Commander's values, which the parsers above made, under our names. */
function nodeOptions(given: Record<string, unknown>): NodeOptions {
  const parsed = given as Partial<NodeOptions> & { seed?: string[] }
  if (parsed.data?.trim() === '') throw new ConfigError('--data', 'is empty', { fix: 'e.g. --data ./data' })
  return checkTogether({
    port: parsed.port,
    host: parsed.host ?? DEFAULT_HOST,
    announce: parsed.announce ?? [],
    seeds: parsed.seed ?? [],
    mine: parsed.mine ?? false,
    threads: parsed.threads,
    data: parsed.data,
    name: parsed.name,
    role: parsed.role ?? 'full',
    blockTime: parsed.blockTime,
    debugIdentity: parsed.debugIdentity ?? false,
    json: parsed.json ?? false
  })
}

/** Commander's message in one line, as our own kind of failure; others as they are. */
function usageFailure(err: unknown): Failure {
  if (!(err instanceof CommanderError)) return failureOf(err)
  const message = err.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')
  return failureOf(new ConfigError('command line', message))
}
