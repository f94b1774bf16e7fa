/** What an address owns, told whenever it is another sum. */
import type { Chain } from 'blockwire/chain'
import { account, type CoinHeader, type CoinTx } from 'blockwire/pow'
import type { Report } from './event.js'

export class BalanceWatch {
  /** At head, as far as it was read. */
  balance: bigint | undefined
  #reading = false
  #again = false

  constructor(
    private readonly chain: Chain<CoinHeader, CoinTx>,
    private readonly address: Uint8Array,
    private readonly report: Report
  ) {}

  /** Reads it now and after each head, one read at a time. */
  start(): void {
    this.chain.addEventListener('head', () => void this.#read())
    void this.#read()
  }

  async #read(): Promise<void> {
    this.#again = true
    if (this.#reading) return
    this.#reading = true
    while (this.#again) {
      this.#again = false
      // a store that cannot be read is told by the chain
      const { balance } = await account(this.chain.state, this.address).catch(() => ({ balance: this.balance }))
      if (balance == null || balance === this.balance) continue
      this.balance = balance
      const address = Buffer.from(this.address).toString('hex')
      this.report({ event: 'balance', height: this.chain.head.height, address, balance: balance.toString() })
    }
    this.#reading = false
  }
}
