import { createKey, readKey } from '../../examples/mining-node/key.js'
import { toHex } from '../hex.js'
import { failureLines, failureOf } from './failure.js'
import { jsonText } from './json.js'
import { row } from './screen.js'
import type { WalletOptions } from './wallet-command.js'

/** Runs `blockwire wallet new` or `address`. Gives the exit code. */
export function runWallet({ action, key: file, json }: WalletOptions): number {
  const line = (text: string): void => void process.stdout.write(`${text}\n`)
  try {
    const address = toHex((action === 'new' ? createKey(file) : readKey(file)).publicKey)
    if (json) line(jsonText({ event: 'wallet', address, key: file, created: action === 'new' }))
    else if (action === 'address') line(address)
    else {
      line(row('address', address))
      line(row('key', `${file}   whoever has this file has the money: keep a copy, show it to nobody`))
    }
    return 0
  } catch (err) {
    const failure = failureOf(err)
    if (json) line(jsonText({ event: 'error', code: failure.code, message: failure.message, fix: failure.fix }))
    for (const text of failureLines(failure, `blockwire wallet ${action}`, process.stderr.isTTY === true))
      console.error(text)
    return failure.exit
  }
}
