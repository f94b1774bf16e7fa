/**
 * `wallet/1`: what a wallet asks of a node. It trusts the node to deliver, and with nothing else: keys stay with the wallet, and that a transfer was
 * mined it has proven to itself.
 */
import type { Connection } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { bytes, type Chain, struct, text, u8, u53, u64, union, type ValueOf, varBytes } from 'blockwire/chain'
import type { Peers } from 'blockwire/peers'
import type { Pool, TxStatus } from 'blockwire/pool'
import { account, type CoinHeader, type CoinTx } from 'blockwire/pow'
import { defineProtocol, type Protocol, type RequestContext } from 'blockwire/protocol'

const TX_BYTES = 1_024

const request = union({
  /** How an address stands. */
  account: [0, struct({ address: bytes(32) })],
  /** Takes a signed transfer. */
  submit: [1, struct({ tx: varBytes(TX_BYTES) })],
  /** Where a transaction stands. */
  status: [2, struct({ id: bytes(32) })]
})

const answer = union({
  /** `balance` at head; `free` and `seq` once all is mined that is pooled of it: what the next transfer may spend, and its number. */
  account: [0, struct({ height: u53, balance: u64, free: u64, seq: u64 })],
  /** `reason` is '' where it was accepted. */
  submit: [1, struct({ reason: text(64), detail: text(1_024) })],
  /** State: 0 neither pooled nor in a late block, 1 pending, 2 in this block. */
  status: [2, struct({ state: u8, height: u53, hash: bytes(32) })]
})

export type WalletRequest = ValueOf<typeof request>
export type WalletAnswer = ValueOf<typeof answer>

const protocol: Protocol<WalletRequest, WalletAnswer> = defineProtocol({
  name: 'wallet/1',
  request,
  item: answer,
  limits: {
    requestBytes: TX_BYTES + 16,
    itemBytes: 1_280,
    items: 1,
    answerBytes: 1_280,
    totalMs: 10_000,
    inbound: 4
  }
})

/** Asks a node. @throws PeerError, and the reason of `signal` */
export async function askNode<K extends WalletRequest['kind']>(
  connection: Connection,
  chain: string,
  asked: Extract<WalletRequest, { kind: K }>,
  signal: AbortSignal
): Promise<Extract<WalletAnswer, { kind: K }>> {
  for await (const answers of protocol.request(connection, chain, asked, { signal })) {
    for (const one of answers) {
      if (one.kind === asked.kind) return one as Extract<WalletAnswer, { kind: K }>
    }
  }
  throw new Error(`the node gave no answer to ${asked.kind}`)
}

/** What the service needs of its siblings. */
export interface WalletComponents {
  registrar: Registrar
  chain: Chain<CoinHeader, CoinTx>
  pool: Pool<CoinTx>
  peers: Peers
}

/** Answers wallets. A service of a node that keeps blocks. */
export function walletService(): (components: WalletComponents) => { start(): Promise<void>; stop(): Promise<void> } {
  return (components) => {
    let close: () => Promise<void> = async () => {}
    return {
      async start() {
        const { registrar, chain, peers } = components
        close = await protocol.serve(
          registrar,
          chain.id,
          async function* (asked, context) {
            yield await answerTo(asked, components, context)
          },
          { onFault: (peer, err) => peers.fault(peer, err.fault, err.message) }
        )
      },
      stop: () => close()
    }
  }
}

async function answerTo(
  asked: WalletRequest,
  { chain, pool }: WalletComponents,
  { peer }: RequestContext
): Promise<WalletAnswer> {
  switch (asked.kind) {
    case 'account': {
      const { height } = chain.head
      const { balance, seq } = await account(chain.state, asked.address)
      return { kind: 'account', height, balance, ...next(pool, chain, asked.address, { balance, seq }) }
    }
    case 'submit': {
      // as if it had come over the topic: it counts to this peer's share of the pool
      const { verdict } = await pool.add(asked.tx, { source: peer })
      const { reason = '', detail = '' } = verdict.result === 'accept' ? {} : verdict
      return { kind: 'submit', reason, detail: detail.slice(0, 250) }
    }
    case 'status':
      return { kind: 'status', ...placeOf(pool.status(asked.id)) }
  }
}

/** What is left, and the next number, after what is pooled of this address. */
function next(
  pool: Pool<CoinTx>,
  chain: Chain<CoinHeader, CoinTx>,
  address: Uint8Array,
  { balance, seq }: { balance: bigint; seq: bigint }
): { free: bigint; seq: bigint } {
  let free = balance
  let number = seq
  for (const pooled of pool.ofSender(address)) {
    const tx = chain.rules.tx.decode(pooled.bytes)
    if (tx.kind !== 'transfer' || tx.seq !== number) continue
    free -= tx.amount + tx.fee
    number++
  }
  return { free: free > 0n ? free : 0n, seq: number }
}

const NOWHERE = new Uint8Array(32)

function placeOf(status: TxStatus | undefined): { state: number; height: number; hash: Uint8Array } {
  if (status?.state === 'included') return { state: 2, height: status.height, hash: status.hash }
  return { state: status?.state === 'pending' ? 1 : 0, height: 0, hash: NOWHERE }
}
