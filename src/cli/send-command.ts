import type { Command } from 'commander'
import { blockTimeOption, DEFAULT_KEY, keyOption } from './common-option.js'
import { parseFee, parseNode, parsePayment, parseTo, parseWait } from './option.js'

/** What `blockwire send` was asked to do, checked. */
export interface SendOptions {
  to: Uint8Array
  /** In the smallest unit, as is the fee. */
  amount: bigint
  fee: bigint
  /** Multiaddr with a peer ID. */
  node: string
  key: string
  /** How many blocks deep; undefined: not at all. */
  wait: number | undefined
  /** In seconds. Undefined: the chain's default. The genesis depends on it. */
  blockTime: number | undefined
  json: boolean
}

export function addSend(program: Command, version: string, action: (options: SendOptions) => Promise<void>): void {
  program
    .command('send')
    .description('send a transfer through a node, and see that it is accepted')
    .requiredOption('--to <address>', 'who gets it: 64 hex digits', parseTo)
    .requiredOption('--amount <coins>', 'how much, with up to 8 decimals', parsePayment)
    .requiredOption('--node <multiaddr>', 'the node to send through, ending in /p2p/<peer ID>', parseNode)
    .option('--fee <coins>', 'for whoever mines it; what pays more is mined first (default: 0)', (text) =>
      parseFee(text)
    )
    .addOption(keyOption())
    .option('--wait [blocks]', 'wait until it is mined, so many blocks deep (default: 1)', parseWait)
    .addOption(blockTimeOption())
    .option('--json', 'write events to stdout, one JSON object a line', false)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText(
      'after',
      `
Examples:
  $ blockwire send --to 3fa9c1... --amount 12.5 --node /ip4/127.0.0.1/tcp/5000/p2p/12D3KooW...
      from ${DEFAULT_KEY}; returns when the node has accepted it
  $ blockwire send --key ./alice/reward.key --to 3fa9c1... --amount 1 --fee 0.001 --wait 3 --node ...
      from the rewards of a node; returns when it is three blocks deep
`
    )
    .action(async (given: Partial<Omit<SendOptions, 'wait'>> & { wait?: number | true }) => {
      await action({
        to: given.to!,
        amount: given.amount!,
        fee: given.fee ?? 0n,
        node: given.node!,
        key: given.key ?? DEFAULT_KEY,
        wait: given.wait === true ? 1 : given.wait,
        blockTime: given.blockTime,
        json: given.json ?? false
      })
    })
}
