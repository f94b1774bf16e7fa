import type { NodeEvent } from '../../examples/mining-node/event.js'

/** The machine's view: these fields, in this order. Fields are only ever added. */
const FIELDS: Partial<Record<NodeEvent['event'], string[]>> = {
  listening: ['multiaddrs'],
  repaired: ['height', 'what'],
  rebuild: ['height', 'goal', 'why', 'done'],
  peer: ['action', 'peer', 'reason'],
  refused: ['peer', 'code', 'field', 'ours', 'theirs'],
  head: ['height', 'hash', 'miner', 'work', 'txs'],
  mined: ['height', 'hash'],
  balance: ['height', 'address', 'balance'],
  reorg: ['from', 'to', 'common', 'depth'],
  seed: ['address', 'state', 'error', 'nextMs'],
  sync: ['state', 'height', 'target', 'claimed', 'peers', 'blocksPerSecond', 'headersPerSecond', 'eta', 'reason'],
  warning: ['message'],
  error: ['code', 'message', 'fix'],
  stopped: ['height', 'hash']
}

/** An event as one line of JSON, without the newline; undefined for events that are for people only. */
export function jsonLine(event: NodeEvent): string | undefined {
  const fields = FIELDS[event.event]
  if (fields == null) return undefined
  // how it ends is what counts
  if (event.event === 'seed' && event.state === 'dialling') return undefined
  const all = event as unknown as Record<string, unknown>
  return jsonText(Object.fromEntries(['event', ...fields].map((field) => [field, all[field]])))
}

/** A value as JSON in one line. Characters that a terminal would obey are escaped, so that it may be printed as it is. */
export function jsonText(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}
