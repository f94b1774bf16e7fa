import { type ReadableState, type StateDb, struct, table, toHex, u8, u64 } from 'blockwire/chain'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

/** A state as a map. */
function state(): StateDb & { keys(): string[] } {
  const values = new Map<string, Uint8Array>()
  return {
    get: (key) => values.get(toHex(key)),
    put: (key, value) => void values.set(toHex(key), value),
    del: (key) => void values.delete(toHex(key)),
    keys: () => [...values.keys()]
  }
}

const account = struct({ balance: u64, seq: u8 })
const key = new Uint8Array([1, 2])

describe('a table of the state', () => {
  it('gives what was put, and what stands for nothing where nothing is', async () => {
    const accounts = table('account', account, { balance: 0n, seq: 0 })
    const db = state()
    expect(await accounts.get(db, key)).toEqual({ balance: 0n, seq: 0 })
    accounts.put(db, key, { balance: 7n, seq: 1 })
    expect(await accounts.get(db, key)).toEqual({ balance: 7n, seq: 1 })
    accounts.del(db, key)
    expect(db.keys()).toEqual([])
    expect(await table('name', account).get(db, key)).toBeUndefined()
  })

  it('waits for values that must be fetched', async () => {
    const fetched: ReadableState = { get: async () => account.encode({ balance: 9n, seq: 2 }) }
    expect(await table('account', account).get(fetched, key)).toEqual({ balance: 9n, seq: 2 })
  })

  it('lays keys out as length of the name, name, key', () => {
    expect(toHex(table('ab', account).key(key))).toBe('0261620102')
  })

  it('never shares a key with a table of another name', () => {
    const name = fc.string({ minLength: 1, maxLength: 4 })
    const bytes = fc.uint8Array({ maxLength: 8 })
    fc.assert(
      fc.property(name, name, bytes, bytes, (one, other, a, b) => {
        fc.pre(Buffer.from(one).compare(Buffer.from(other)) !== 0)
        expect(toHex(table(one, account).key(a))).not.toBe(toHex(table(other, account).key(b)))
      })
    )
  })

  it('has a name of 1 to 64 bytes', () => {
    expect(() => table('', account)).toThrow(RangeError)
    expect(() => table('ä'.repeat(33), account)).toThrow('66 bytes')
    expect(table('ä'.repeat(32), account).key(key)).toHaveLength(67)
  })
})
