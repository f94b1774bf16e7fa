/** Money as people write it: coins with up to 8 decimals. The chain counts the smallest unit. */
const DECIMALS = 8
const COIN = 10n ** BigInt(DECIMALS)

/** 1250000000n -> `12.5`. */
export function amountText(amount: bigint): string {
  const whole = (amount / COIN).toString().replace(/\B(?=(\d{3})+$)/g, ',')
  const part = (amount % COIN).toString().padStart(DECIMALS, '0').replace(/0+$/, '')
  return part === '' ? whole : `${whole}.${part}`
}

/** `12.5` -> 1250000000n; undefined for what is no amount, or does not fit 64 bits. */
export function parseAmount(text: string): bigint | undefined {
  const [, whole, part = ''] = /^(\d{1,12})(?:\.(\d{1,8}))?$/.exec(text) ?? []
  if (whole == null) return undefined
  const amount = BigInt(whole) * COIN + BigInt(part.padEnd(DECIMALS, '0'))
  return amount < 1n << 64n ? amount : undefined
}
