import { amountText } from '../../examples/mining-node/amount.js'
import { readKey } from '../../examples/mining-node/key.js'
import { count, short, shortPeer } from '../../examples/mining-node/line.js'
import { Wallet } from '../../examples/mining-node/send.js'
import { toHex } from '../hex.js'
import { failureLines, failureOf } from './failure.js'
import { jsonText } from './json.js'
import { row } from './screen.js'
import type { SendOptions } from './send-command.js'
import { stopRequest } from './stop.js'

/** Runs `blockwire send`. Resolves with the exit code: 0 once the node has accepted the transfer, or, with `--wait`, once it is mined. */
export async function runSend(options: SendOptions): Promise<number> {
  const { to, amount, fee, node, json, wait, blockTime } = options
  const stop = stopRequest()
  const given = new AbortController()
  void stop.asked.then(() => given.abort())
  const tell = (event: object, label: string, text: string): void => {
    process.stdout.write(`${json ? jsonText(event) : row(label, text)}\n`)
  }
  try {
    const key = readKey(options.key)
    await using wallet = await Wallet.open(
      { node, ...(blockTime == null ? {} : { blockTime: Math.round(blockTime * 1_000) }) },
      given.signal
    )
    const sent = await wallet.send({ key, to, amount, fee }, given.signal)
    const peer = node.split('/').at(-1)!
    const [tx, from] = [toHex(sent.id), toHex(key.publicKey)]
    tell(
      {
        event: 'accepted',
        tx,
        from,
        to: toHex(to),
        amount: amount.toString(),
        fee: fee.toString(),
        seq: sent.seq.toString(),
        peer
      },
      'accepted',
      `${amountText(amount)} to ${toHex(to).slice(0, 8)} by ${shortPeer(peer)}   transaction ${tx}`
    )
    if (wait == null) return 0
    const { height, hash } = await wallet.mined(sent, wait, given.signal)
    tell(
      { event: 'mined', tx, height, hash: toHex(hash), depth: wait },
      'mined',
      `in #${count(height)} ${short(toHex(hash))}, ${wait} deep   proven by its header`
    )
    return 0
  } catch (err) {
    // told to stop: what was accepted is on its way
    if (given.signal.aborted) return 1
    const failure = failureOf(err)
    if (json)
      process.stdout.write(
        `${jsonText({ event: 'error', code: failure.code, message: failure.message, fix: failure.fix })}\n`
      )
    for (const text of failureLines(failure, 'blockwire send', process.stderr.isTTY === true)) console.error(text)
    return failure.exit
  }
}
