import type { Command } from 'commander'
import { ConfigError } from '../errors.js'
import {
  addLast,
  announceOption,
  blockTimeOption,
  dataOption,
  hostOption,
  portOption,
  seedOption
} from './common-option.js'
import { checkDebugIdentity, DEFAULT_HOST, DEFAULT_PORT, parseName, parseRole, parseThreads } from './option.js'

/** What `blockwire node` was asked to do, checked. */
export interface NodeOptions {
  /** Undefined: the default port, or the next free one. 0: any. */
  port: number | undefined
  /** An IP address. */
  host: string
  announce: string[]
  seeds: string[]
  mine: boolean
  threads: number | undefined
  data: string | undefined
  name: string | undefined
  role: 'full' | 'light' | 'seed'
  /** Undefined: the role's default. */
  maxInbound: number | undefined
  /** In seconds. Undefined: the chain's default. */
  blockTime: number | undefined
  debugIdentity: boolean
  json: boolean
}

export function addNode(program: Command, version: string, action: (options: NodeOptions) => Promise<void>): void {
  const command = program
    .command('node')
    .description('run a node: find peers, keep the chain, mine')
    .addOption(portOption(DEFAULT_PORT))
    .addOption(hostOption())
    .addOption(announceOption())
    .option('-m, --mine', 'mine blocks', false)
    .option('--threads <number>', 'threads that mine (default: all cores but one)', parseThreads)
    .addOption(seedOption('a node to join through'))
    .addOption(dataOption('chain and identity'))
    .option('--name <text>', 'stands in the blocks that you win, at most 32 bytes', parseName)
    .option(
      '--role <role>',
      'full: keep the chain; light: its headers only; seed: see the command seed',
      parseRole,
      'full'
    )
    .addOption(blockTimeOption())
  addLast(command, version)
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
  $ blockwire node --json | jq 'select(.event == "head")'
      events for programs

A meeting point without a chain is a command of its own: blockwire seed.
Ctrl-C stops and saves; a second Ctrl-C stops at once.
`
    )
    .action(async (given: Partial<NodeOptions> & { seed?: string[] }) => {
      await action(nodeOptions(given))
    })
}

/** Commander's values, which the parsers made, under our names. */
function nodeOptions(given: Partial<NodeOptions> & { seed?: string[] }): NodeOptions {
  return checkTogether({
    port: given.port,
    host: given.host ?? DEFAULT_HOST,
    announce: given.announce ?? [],
    seeds: given.seed ?? [],
    mine: given.mine ?? false,
    threads: given.threads,
    data: given.data,
    name: given.name,
    role: given.role ?? 'full',
    maxInbound: undefined,
    blockTime: given.blockTime,
    debugIdentity: given.debugIdentity ?? false,
    json: given.json ?? false
  })
}

/** What cannot be asked for together. */
function checkTogether(options: NodeOptions): NodeOptions {
  if (options.role !== 'full' && options.mine) {
    const why = options.role === 'seed' ? 'a seed keeps no chain' : 'a light node keeps headers only'
    throw new ConfigError('--mine', `does not go with --role ${options.role}: ${why}`, {
      fix: 'leave one of them out'
    })
  }
  checkDebugIdentity(options)
  return options
}
