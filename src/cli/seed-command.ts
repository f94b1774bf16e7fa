import type { Command } from 'commander'
import {
  addLast,
  announceOption,
  blockTimeOption,
  dataOption,
  hostOption,
  portOption,
  seedOption
} from './common-option.js'
import { checkDebugIdentity, DEFAULT_HOST, DEFAULT_PORT, parseMaxInbound } from './option.js'

/** What `blockwire seed` was asked to do, checked. */
export interface SeedOptions {
  /** Undefined: the default port, or the next free one. 0: any. */
  port: number | undefined
  /** An IP address. */
  host: string
  announce: string[]
  /** Other seeds. */
  seeds: string[]
  data: string | undefined
  /** Connections that others open to us. */
  maxInbound: number
  /** In seconds. Undefined: the chain's default. The genesis depends on it. */
  blockTime: number | undefined
  debugIdentity: boolean
  json: boolean
}

export const DEFAULT_MAX_INBOUND = 256

export function addSeed(program: Command, version: string, action: (options: SeedOptions) => Promise<void>): void {
  const command = program
    .command('seed')
    .description('run a seed: a meeting point that introduces nodes to each other, without a chain')
    .addOption(portOption(DEFAULT_PORT))
    .addOption(hostOption())
    .addOption(announceOption())
    .addOption(seedOption('another seed to know'))
    .addOption(dataOption('identity and address book'))
    .option(
      '--max-inbound <number>',
      'nodes that are let in at a time; when all are there, a newcomer takes the place of one',
      parseMaxInbound,
      DEFAULT_MAX_INBOUND
    )
    .addOption(blockTimeOption())
  addLast(command, version)
    .addHelpText(
      'after',
      `
Examples:
  $ blockwire seed
      a meeting point; prints the command for the nodes
  $ blockwire seed --data ./seed --announce /ip4/203.0.113.7/tcp/5000
      the same address after each start, reachable behind a router
  $ blockwire seed --port 5001 --seed /ip4/127.0.0.1/tcp/5000/p2p/12D3KooW...
      a second one beside the first
  $ blockwire seed --json | jq 'select(.event == "peer")'
      events for programs

All nodes need the same --block-time as their seed.
Ctrl-C stops; a second Ctrl-C stops at once.
`
    )
    .action(async (given: Partial<SeedOptions> & { seed?: string[] }) => {
      const { port, debugIdentity = false } = given
      checkDebugIdentity({ debugIdentity, port })
      await action({
        port,
        host: given.host ?? DEFAULT_HOST,
        announce: given.announce ?? [],
        seeds: given.seed ?? [],
        data: given.data,
        maxInbound: given.maxInbound ?? DEFAULT_MAX_INBOUND,
        blockTime: given.blockTime,
        debugIdentity,
        json: given.json ?? false
      })
    })
}
