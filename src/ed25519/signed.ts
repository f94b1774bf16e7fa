import { bytes, type Check, type Fields, type Layout, type StructOf, struct } from '../chain/index.js'
import { ed25519 } from './ed25519.js'

/** What is signed, and the signature, 64 bytes. */
export type WithSignature<T> = T & { signature: Uint8Array }

/** A layout that ends in a signature over all that stands before it. */
export interface Signed<T> extends Layout<WithSignature<T>> {
  /**
   * The value with its signature over `context` ‖ its bytes without the signature. With the genesis hash as context it is worth
   * nothing on other chains.
   * @throws RangeError where a field does not fit, or the key is not 32 bytes.
   */
  sign(value: T, secretKey: Uint8Array, context?: Uint8Array): WithSignature<T>
  /** Was it signed by this key, in this context? Answers as rules do; no key, or one that is none, is a wrong signature. */
  verify(value: WithSignature<T>, publicKey: Uint8Array | undefined, context?: Uint8Array): Check
  /** The same for many, on all cores: what `Rules.checkTxs` wants. `keyOf` says by which key each should be signed. */
  verifyMany(
    values: WithSignature<T>[],
    keyOf: (value: WithSignature<T>) => Uint8Array | undefined,
    context?: Uint8Array,
    options?: { urgent?: boolean }
  ): Promise<Check[]>
}

const NO_CONTEXT = new Uint8Array()
const WRONG: Check = { reject: 'wrong signature' }

/**
 * A struct with a last field `signature`, for headers and transactions. Where one key signs structs of several kinds, their messages
 * must differ: by context, by a first field, or by length.
 *
 * ```ts
 * const transfer = signed({ from: bytes(32), to: bytes(32), amount: u64, seq: u53 })
 * const rules = {
 *   tx: transfer,
 *   checkTx: (tx, genesis) => transfer.verify(tx, tx.from, genesis),
 *   checkTxs: (txs, genesis, options) => transfer.verifyMany(txs, ({ from }) => from, genesis, options),
 *   ...
 * }
 * ```
 */
export function signed<F extends Fields & { signature?: never }>(fields: F): Signed<StructOf<F>> {
  const unsigned = struct(fields)
  const whole = struct({ ...fields, signature: bytes(64) }) as unknown as Layout<WithSignature<StructOf<F>>>
  const message = (value: StructOf<F>, context: Uint8Array): Uint8Array => {
    const encoded = unsigned.encode(value)
    const joined = new Uint8Array(context.length + encoded.length)
    joined.set(context)
    joined.set(encoded, context.length)
    return joined
  }
  return {
    ...whole,
    sign: (value, secretKey, context = NO_CONTEXT) => ({
      ...value,
      signature: ed25519.sign(message(value, context), secretKey)
    }),
    verify(value, publicKey, context = NO_CONTEXT) {
      const good = publicKey != null && ed25519.verify(value.signature, message(value, context), publicKey)
      return good || WRONG
    },
    async verifyMany(values, keyOf, context = NO_CONTEXT, options = {}) {
      const list = values.map((value) => ({
        signature: value.signature,
        message: message(value, context),
        publicKey: keyOf(value) ?? NO_CONTEXT
      }))
      return (await ed25519.verifyMany(list, options)).map((good) => good || WRONG)
    }
  }
}
