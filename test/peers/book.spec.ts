import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressBook } from '../../dist/src/peers/book.js'

test('never grows over its bounds, and keeps seeds and connected peers', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          id: fc.integer({ min: 0, max: 200 }),
          addresses: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 }),
          seq: fc.option(fc.bigInt({ min: 0n, max: 9n }), { nil: undefined })
        }),
        { maxLength: 300 }
      ),
      (steps) => {
        const book = new AddressBook({ limit: 20, perPeer: 4, keeps: (id) => id === 'p7' })
        book.pin('seed', '/memory/seed', 0)
        book.learn('p7', ['/memory/p7'], 0)
        for (const [now, { id, addresses, seq }] of steps.entries())
          book.learn(
            `p${id}`,
            addresses.map((a) => `/memory/${a}`),
            now,
            seq
          )
        expect(book.entries.size).toBeLessThanOrEqual(21)
        expect(book.get('seed')?.addresses).toEqual(['/memory/seed'])
        expect(book.get('p7')).toBeDefined()
        for (const entry of book.entries.values()) expect(entry.addresses.length).toBeLessThanOrEqual(4)
      }
    )
  )
})

test('makes room by dropping who never was a peer, failed most, and was unseen longest', () => {
  const book = new AddressBook({ limit: 3 })
  for (const [now, id] of ['old', 'failing', 'proven'].entries()) book.learn(id, [`/memory/${id}`], now)
  book.get('failing')!.failures = 2
  book.get('proven')!.proven = true
  book.get('proven')!.failures = 9
  book.learn('new1', ['/memory/new1'], 10)
  expect([...book.entries.keys()]).toEqual(['old', 'proven', 'new1'])
  book.learn('new2', ['/memory/new2'], 11)
  expect([...book.entries.keys()]).toEqual(['proven', 'new1', 'new2'])
})

test('a newer signed word replaces what is known, an older one and hearsay do not', () => {
  const book = new AddressBook()
  book.learn('a', ['/memory/rumour'], 0)
  book.learn('a', ['/memory/other-rumour'], 1)
  expect(book.get('a')?.addresses).toEqual(['/memory/rumour', '/memory/other-rumour'])
  book.learn('a', ['/memory/signed'], 2, 5n)
  book.learn('a', ['/memory/older'], 3, 4n)
  book.learn('a', ['/memory/hearsay'], 4)
  expect(book.get('a')?.addresses).toEqual(['/memory/signed'])
  book.learn('a', ['/memory/moved'], 5, 6n)
  expect(book.get('a')?.addresses).toEqual(['/memory/moved'])
})

test("a seed's given address stays, whatever it says of itself, and what worked goes first", () => {
  const book = new AddressBook()
  book.pin('s', '/memory/given', 0)
  book.pin('s', '/memory/also-given', 0)
  book.learn('s', ['/memory/own'], 1, 1n)
  expect(book.get('s')?.addresses).toEqual(['/memory/given', '/memory/also-given', '/memory/own'])
  book.worked('s', '/memory/own')
  expect(book.get('s')?.addresses).toEqual(['/memory/own', '/memory/given', '/memory/also-given'])
  book.remove('s')
  expect(book.get('s')).toBeDefined()
})

test('a peer without an address is not kept', () => {
  const book = new AddressBook()
  expect(book.learn('a', [], 0)).toBeUndefined()
  expect(book.entries.size).toBe(0)
})
