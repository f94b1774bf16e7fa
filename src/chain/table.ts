import type { Codec, ReadableState, StateDb } from './rules.js'

/** Values of one kind in the state, each under a key. `Missing` is what stands for a value that is not there. */
export interface Table<T, Missing = T> {
  /** The value, e.g. at head: `accounts.get(node.chain.state, address)`. A shared value when there is none: do not change it in place. */
  get(state: ReadableState, key: Uint8Array): Promise<T | Missing>
  put(db: StateDb, key: Uint8Array, value: T): void
  del(db: StateDb, key: Uint8Array): void
  /** The key in the state: length of the table's name (1 byte) ‖ name ‖ `key`. For `StateRules.reads`. */
  key(key: Uint8Array): Uint8Array
}

const MAX_NAME_BYTES = 64

/**
 * A part of the state with a codec for its values. Tables of different names never share a key. Name and key are together at
 * most 255 bytes.
 *
 * ```ts
 * const accounts = table('account', struct({ balance: u64, seq: u53 }), { balance: 0n, seq: 0 })
 * const { balance } = await accounts.get(db, address)
 * ```
 *
 * @param name 1 to 64 bytes of UTF-8
 * @param missing what `get` gives where nothing was put
 * @throws RangeError for another name
 */
export function table<T>(name: string, value: Codec<T>, missing: T): Table<T>
export function table<T>(name: string, value: Codec<T>): Table<T, undefined>
export function table<T>(name: string, value: Codec<T>, missing?: T): Table<T, T | undefined> {
  const encoded = new TextEncoder().encode(name)
  if (encoded.length === 0 || encoded.length > MAX_NAME_BYTES)
    throw new RangeError(`a table's name of ${encoded.length} bytes, not 1 to ${MAX_NAME_BYTES}`)
  const prefix = Uint8Array.of(encoded.length, ...encoded)
  const keyOf = (key: Uint8Array): Uint8Array => {
    const whole = new Uint8Array(prefix.length + key.length)
    whole.set(prefix)
    whole.set(key, prefix.length)
    return whole
  }
  return {
    async get(state, key) {
      const stored = await state.get(keyOf(key))
      return stored == null ? missing : value.decode(stored)
    },
    put: (db, key, content) => db.put(keyOf(key), value.encode(content)),
    del: (db, key) => db.del(keyOf(key)),
    key: keyOf
  }
}
