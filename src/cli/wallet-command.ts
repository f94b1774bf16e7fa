import type { Command } from 'commander'
import { DEFAULT_KEY, keyOption } from './common-option.js'

/** What `blockwire wallet` was asked to do, checked. */
export interface WalletOptions {
  action: 'new' | 'address'
  /** The file of the key. */
  key: string
  json: boolean
}

export function addWallet(program: Command, version: string, action: (options: WalletOptions) => Promise<void>): void {
  const wallet = program
    .command('wallet')
    .description('make a key for transfers, or show its address')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText(
      'after',
      `
Examples:
  $ blockwire wallet new
      a key in ${DEFAULT_KEY}, and the address that others pay to
  $ blockwire wallet address --key ./alice/reward.key
      where the rewards of a node go
`
    )
  wallet.action(() => wallet.outputHelp())
  const commands = [
    ['new', 'make a key in a new file; what is there is never overwritten'],
    ['address', "show a key's address"]
  ] as const
  for (const [name, what] of commands) {
    wallet
      .command(name)
      .description(what)
      .addOption(keyOption())
      .option('--json', 'write one JSON object', false)
      .helpOption('-h, --help', 'print this help')
      .action(async ({ key = DEFAULT_KEY, json = false }: Partial<WalletOptions>) => {
        await action({ action: name, key, json })
      })
  }
}
