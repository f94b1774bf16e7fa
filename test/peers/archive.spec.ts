import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { MemoryDatastore } from 'datastore-core'
import { Key } from 'interface-datastore'
import { describe, expect, test } from 'vitest'
import { Archive } from '../../dist/src/peers/archive.js'
import { Bans, subjectOf } from '../../dist/src/peers/bans.js'
import { AddressBook } from '../../dist/src/peers/book.js'

const LOG = Object.assign(() => {}, { error: () => {} }) as never
const NOW = 1_700_000_000_000

const newId = async (): Promise<string> => peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()

/** What a process has in memory, over a store that outlives it. */
function open(datastore: MemoryDatastore) {
  const book = new AddressBook()
  const bans = new Bans()
  const warnings: string[] = []
  const archive = new Archive({ datastore, book, bans, log: LOG, warn: (text) => warnings.push(text) })
  return { book, bans, warnings, archive }
}

async function keysOf(datastore: MemoryDatastore): Promise<string[]> {
  const keys: string[] = []
  for await (const key of datastore.queryKeys({})) keys.push(key.toString())
  return keys.sort()
}

/** A store with two peers, one of them tried, three bans and an anchor. */
async function filled() {
  const datastore = new MemoryDatastore()
  const [a, b, c] = [await newId(), await newId(), await newId()]
  const { book, bans, archive } = open(datastore)
  await archive.load(NOW)
  book.pin(c, `/ip4/8.8.4.4/tcp/1/p2p/${c}`, NOW)
  book.learn(a, [`/ip4/8.8.8.8/tcp/1/p2p/${a}`, `/dns4/a.example/tcp/1/p2p/${a}`], NOW, {
    source: 'ip4:9.9',
    seq: 2n ** 60n
  })
  book.learn(b, [`/ip4/8.8.8.9/tcp/1/p2p/${b}`], NOW, { source: 'discovery' })
  book.proved(a, NOW + 5, 'ip4:8.8')
  book.get(b)!.failures = 2
  book.get(b)!.endedAt = NOW - 1
  for (const what of [b, '8.8.8.9', '2001:db8::/32'])
    bans.add(
      {
        ...subjectOf(what),
        until: what === b ? Number.POSITIVE_INFINITY : NOW + 1000,
        reason: 'bad',
        byHand: what === b
      },
      NOW
    )
  await archive.save([a], NOW)
  return { datastore, a, b, c }
}

describe('what is kept', () => {
  test('is there again: addresses, tables, failures, bans, anchors; seeds are in the configuration', async () => {
    const { datastore, a, b, c } = await filled()
    const { book, bans, archive, warnings } = open(datastore)
    expect(await archive.load(NOW + 10)).toEqual([a])
    expect(warnings).toEqual([])
    expect(book.get(a)).toMatchObject({
      addresses: [`/ip4/8.8.8.8/tcp/1/p2p/${a}`, `/dns4/a.example/tcp/1/p2p/${a}`],
      ...{ seq: 2n ** 60n, source: 'ip4:9.9', provenAt: NOW + 5, failures: 0, seed: false }
    })
    expect(book.isTried(a)).toBe(true)
    expect(book.get(b)).toMatchObject({ failures: 2, source: 'discovery', provenAt: undefined })
    expect(book.isTried(b)).toBe(false)
    expect(book.get(c)).toBeUndefined()
    expect(bans.peer(b, NOW * 2)).toMatchObject({ until: Number.POSITIVE_INFINITY, byHand: true, reason: 'bad' })
    expect(bans.address('8.8.8.9', NOW + 999)).toBeDefined()
    expect(bans.address('2001:db8::1', NOW + 999)).toBeDefined()
    expect(bans.address('2001:db8::1', NOW + 1000)).toBeUndefined()
  })

  test('is written only when it changed, and what is dropped or lifted is gone', async () => {
    const { datastore, a, b } = await filled()
    const { book, bans, archive } = open(datastore)
    await archive.load(NOW)
    let commits = 0
    const batch = datastore.batch.bind(datastore)
    datastore.batch = () => {
      commits++
      return batch()
    }
    await archive.save([a], NOW)
    expect(commits).toBe(0)
    book.remove(b)
    bans.lift(b)
    await archive.save([], NOW)
    expect(commits).toBe(1)
    const keys = await keysOf(datastore)
    expect(keys.some((key) => key.includes(b))).toBe(false)
    const again = open(datastore)
    expect(await again.archive.load(NOW)).toEqual([])
    expect([...again.book.entries.keys()]).toEqual([a])
  })

  test('keeps the tables as they were: the secret is kept too', async () => {
    const { datastore } = await filled()
    const secret = await datastore.get(new Key('/blockwire/peers/secret'))
    expect(secret).toHaveLength(32)
    await open(datastore).archive.load(NOW)
    expect(await datastore.get(new Key('/blockwire/peers/secret'))).toEqual(secret)
  })

  test('who was not seen for a month before the others were is not taken up again, and is dropped from the store', async () => {
    const { datastore, a, b } = await filled()
    const later = NOW + 31 * 24 * 3_600_000
    const first = open(datastore)
    await first.archive.load(NOW)
    first.book.learn(b, [], later, { source: 'x' })
    await first.archive.save([], later)
    const { book, archive } = open(datastore)
    await archive.load(later)
    expect([...book.entries.keys()]).toEqual([b])
    await archive.save([], later)
    const keys = await keysOf(datastore)
    expect(keys.filter((key) => key.includes('/book/'))).toEqual([`/blockwire/peers/book/${b}`])
    expect(keys.join()).not.toContain(a)
  })

  test('is whole again after a start with a clock that is ten years ahead, or in 1970', async () => {
    const { datastore, a, b } = await filled()
    for (const wrong of [NOW + 3650 * 24 * 3_600_000, 1000, NOW]) {
      const { book, archive, warnings } = open(datastore)
      await archive.load(wrong)
      await archive.save([], wrong)
      expect([...book.entries.keys()].sort(), `${wrong}`).toEqual([a, b].sort())
      expect(warnings).toEqual([])
    }
  })
})

describe('a damaged store', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const damages: [string, (a: string) => string, Uint8Array][] = [
    ['an entry that is no JSON', (a) => `book/${a}`, Uint8Array.of(1, 2, 255)],
    ['an empty entry', (a) => `book/${a}`, new Uint8Array()],
    ['an entry of another shape', (a) => `book/${a}`, bytes('{"id":7}')],
    ['an entry whose address is none', (a) => `book/${a}`, bytes('{"id":"x","addresses":["nowhere"]}')],
    ['a secret of 31 bytes', () => 'secret', new Uint8Array(31)],
    ['anchors that are no list', () => 'anchors', bytes('{"__proto__":1}')],
    ['a ban of nobody', () => 'bans/nobody', bytes('{"what":"nobody","until":1,"reason":""}')]
  ]

  test.each(damages)('%s is set aside with a warning, the rest is used', async (_, name, damage) => {
    const { datastore, a, b } = await filled()
    const at = name(a)
    await datastore.put(new Key(`/blockwire/peers/${at}`), damage)
    const { book, bans, archive, warnings } = open(datastore)
    await archive.load(NOW)
    expect(warnings).toEqual([expect.stringContaining('set aside')])
    expect(book.get(b)).toBeDefined()
    expect(bans.peer(b, NOW)).toBeDefined()
    const keys = await keysOf(datastore)
    expect(keys.filter((key) => key.includes('/damaged/'))).toEqual([
      `/blockwire/peers/damaged/${encodeURIComponent(at)}`
    ])
    // the next start finds nothing wrong, and learns anew
    book.learn(a, [`/ip4/8.8.8.8/tcp/1/p2p/${a}`], NOW, { source: 'x' })
    await archive.save([], NOW)
    const again = open(datastore)
    await again.archive.load(NOW)
    expect(again.warnings).toEqual([])
    expect(again.book.get(a)).toBeDefined()
  })

  test('an entry that says it is somebody else is not believed', async () => {
    const { datastore, a } = await filled()
    const other = await newId()
    const entry = {
      id: other,
      addresses: [`/ip4/8.8.8.8/tcp/1/p2p/${a}`],
      source: 'x',
      seenAt: NOW,
      failures: 0,
      endedAt: 0
    }
    await datastore.put(new Key(`/blockwire/peers/book/${other}`), bytes(JSON.stringify(entry)))
    const { book, archive, warnings } = open(datastore)
    await archive.load(NOW)
    expect(book.get(other)).toBeUndefined()
    expect(warnings).toHaveLength(1)
  })

  test('only the last generation of what was damaged is kept', async () => {
    const { datastore, a } = await filled()
    for (const junk of ['x', 'y']) {
      await datastore.put(new Key(`/blockwire/peers/book/${a}${junk}`), bytes(junk))
      await open(datastore).archive.load(NOW)
    }
    const keys = await keysOf(datastore)
    expect(keys.filter((key) => key.includes('/damaged/'))).toHaveLength(1)
  })
})

describe('a store that fails', () => {
  test('does not keep the node from starting, and is told once until it works again', async () => {
    const datastore = new MemoryDatastore()
    const { archive, book, warnings } = open(datastore)
    const [a, b] = [await newId(), await newId()]
    const query = datastore.query.bind(datastore)
    datastore.query = () => {
      throw new Error('a bad sector')
    }
    expect(await archive.load(NOW)).toEqual([])
    expect(warnings).toEqual([expect.stringContaining('a bad sector')])
    datastore.query = query
    const batch = datastore.batch.bind(datastore)
    datastore.batch = () => ({ put: () => {}, delete: () => {}, commit: () => Promise.reject(new Error('disk full')) })
    book.learn(a, [`/ip4/8.8.8.8/tcp/1/p2p/${a}`], NOW, { source: 'x' })
    await archive.save([], NOW)
    book.learn(b, [`/ip4/8.8.8.9/tcp/1/p2p/${b}`], NOW, { source: 'x' })
    await archive.save([], NOW)
    expect(warnings.slice(1)).toEqual([expect.stringContaining('disk full')])
    datastore.batch = batch
    await archive.save([], NOW)
    const keys = await keysOf(datastore)
    expect(keys.filter((key) => key.includes('/book/'))).toHaveLength(2)
  })

  test('that could not be read is read with the next save, and nothing in it is overwritten before', async () => {
    const { datastore, a, b } = await filled()
    const query = datastore.query.bind(datastore)
    datastore.query = () => {
      throw new Error('a bad sector')
    }
    const { archive, book, bans, warnings } = open(datastore)
    const c = await newId()
    await archive.load(NOW)
    book.learn(c, [`/ip4/8.8.8.7/tcp/1/p2p/${c}`], NOW, { source: 'x' })
    // nobody knows yet that it was banned
    expect(bans.lift(b)).toBe(false)
    await archive.save([c], NOW)
    expect(warnings).toHaveLength(2)
    datastore.query = query
    await archive.save([c], NOW)
    expect([...book.entries.keys()].sort()).toEqual([a, b, c].sort())
    expect(bans.peer(b, NOW)).toBeDefined()
    const again = open(datastore)
    await again.archive.load(NOW)
    expect([...again.book.entries.keys()].sort()).toEqual([a, b, c].sort())
    expect(again.bans.list(NOW)).toHaveLength(3)
  })

  test('one write at a time, however slow the disk: what changes meanwhile goes with the next', async () => {
    const datastore = new MemoryDatastore()
    const { archive, book } = open(datastore)
    await archive.load(NOW)
    const batch = datastore.batch.bind(datastore)
    let running = 0
    let most = 0
    const release: (() => void)[] = []
    datastore.batch = () => {
      const inner = batch()
      return {
        ...{ put: inner.put, delete: inner.delete },
        commit: async () => {
          most = Math.max(most, ++running)
          await new Promise<void>((resolve) => release.push(resolve))
          await inner.commit()
          running--
        }
      }
    }
    const saved: Promise<void>[] = []
    for (let i = 0; i < 20; i++) {
      const id = await newId()
      book.learn(id, [`/ip4/8.8.8.8/tcp/${i + 1}/p2p/${id}`], NOW, { source: `${i}` })
      saved.push(archive.save([], NOW))
    }
    let isDone = false
    const all = Promise.all(saved).then(() => {
      isDone = true
    })
    while (!isDone) {
      release.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await all
    expect(most).toBe(1)
    const keys = await keysOf(datastore)
    expect(keys.filter((key) => key.includes('/book/'))).toHaveLength(20)
  })
})
