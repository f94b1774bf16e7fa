import { Reader, varintLength, Writer } from './cursor.js'
import { keyOf } from './key.js'
import type { StateDb } from './rules.js'

/** Value of one key before a block touched it. */
export interface Before {
  key: Uint8Array
  value: Uint8Array | undefined
}

interface Slot {
  key: Uint8Array
  value: Uint8Array | undefined
  /** Whether it must be written; otherwise it is only remembered from a read. */
  dirty: boolean
}

type Value = Uint8Array | undefined

const MAX_KEY = 256

/**
 * State as blocks not yet written change it, over what is stored. Records what each block and each transaction changed, so that
 * either can be taken back.
 */
export class Overlay implements StateDb {
  readonly #read: (key: Uint8Array) => Value | Promise<Value>
  readonly #slots = new Map<string, Slot>()
  /** First touches since `begin`: key and where its value was before. */
  #touched = new Map<string, Slot | undefined>()
  #journal: Array<[string, Slot | undefined]> = []
  #unread: Uint8Array[] = []
  #bytes = 0

  constructor(read: (key: Uint8Array) => Value | Promise<Value>) {
    this.#read = read
  }

  /** Size of what was put or read, about. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: Uint8Array): Value | Promise<Value> {
    const id = checkedKey(key)
    const slot = this.#slots.get(id)
    if (slot != null) return slot.value
    const found = this.#read(key)
    if (!isPromise(found)) return this.#remember(id, key, found)
    return found.then((value) => {
      const written = this.#slots.get(id)
      return written == null ? this.#remember(id, key, value) : written.value
    })
  }

  put(key: Uint8Array, value: Uint8Array): void {
    if (!(value instanceof Uint8Array)) throw new TypeError('a state value is bytes')
    this.#set(key, new Uint8Array(value))
    this.#bytes += key.length + value.length
  }

  del(key: Uint8Array): void {
    this.#set(key, undefined)
    this.#bytes += key.length
  }

  /** From here on changes belong to a new block. */
  begin(): void {
    this.#touched = new Map()
    this.#journal = []
    this.#unread = []
  }

  /** A point to roll back to, within the block. */
  get mark(): number {
    return this.#journal.length
  }

  rollback(mark: number): void {
    while (this.#journal.length > mark) {
      const [id, slot] = this.#journal.pop()!
      if (slot == null) this.#slots.delete(id)
      else this.#slots.set(id, slot)
    }
  }

  /** Values before this block of every key that it touched. A promise where they must be fetched. */
  undo(): Before[] | Promise<Before[]> {
    if (this.#unread.length === 0) return this.#before(new Map())
    const waiting: Promise<void>[] = []
    const stored = new Map<string, Value>()
    for (const key of this.#unread) {
      const found = this.#read(key)
      if (isPromise(found)) waiting.push(found.then((value) => void stored.set(keyOf(key), value)))
      else stored.set(keyOf(key), found)
    }
    return waiting.length === 0 ? this.#before(stored) : Promise.all(waiting).then(() => this.#before(stored))
  }

  /** Puts back what an undo record says. */
  revert(record: Before[]): void {
    for (const { key, value } of record) {
      this.#slots.set(keyOf(key), { key, value, dirty: true })
      this.#bytes += key.length + (value?.length ?? 0)
    }
  }

  /** Fetches keys that the next transactions will read. */
  async prefetch(keys: Uint8Array[]): Promise<void> {
    await Promise.all(keys.map((key) => this.get(key)))
  }

  /** What must be written. */
  *changes(): Generator<Before> {
    for (const slot of this.#slots.values()) if (slot.dirty) yield slot
  }

  #remember(id: string, key: Uint8Array, value: Value): Value {
    this.#slots.set(id, { key: new Uint8Array(key), value, dirty: false })
    this.#bytes += key.length + (value?.length ?? 0)
    return value
  }

  #set(key: Uint8Array, value: Value): void {
    const id = checkedKey(key)
    const slot = this.#slots.get(id)
    const own = slot?.key ?? new Uint8Array(key)
    if (!this.#touched.has(id)) {
      this.#touched.set(id, slot)
      if (slot == null) this.#unread.push(own)
    }
    this.#journal.push([id, slot])
    this.#slots.set(id, { key: own, value, dirty: true })
  }

  #before(stored: Map<string, Value>): Before[] {
    const record: Before[] = []
    for (const [id, slot] of this.#touched) {
      record.push(slot ?? { key: this.#slots.get(id)?.key ?? bytesOf(id), value: stored.get(id) })
    }
    return record
  }
}

function bytesOf(id: string): Uint8Array {
  return Uint8Array.from(id, (character) => character.charCodeAt(0))
}

function checkedKey(key: Uint8Array): string {
  if (!(key instanceof Uint8Array) || key.length < 1 || key.length > MAX_KEY)
    throw new RangeError(`a state key of ${key?.length} bytes: keys are 1 to ${MAX_KEY} bytes`)
  return keyOf(key)
}

/** Cheaper than `instanceof` on a value that is none, and right for promises of other realms. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === 'function'
}

/** Sum ‖ per key: varint(length) key, then 0 for none or varint(length + 1) value. The sum finds a record that was damaged. */
export function encodeUndo(record: Before[]): Uint8Array {
  let size = 4
  for (const { key, value } of record) {
    size += varintLength(key.length) + key.length + (value == null ? 1 : varintLength(value.length + 1) + value.length)
  }
  const writer = new Writer(new Uint8Array(size))
  writer.skip(4)
  for (const { key, value } of record) {
    writer.varint(key.length)
    writer.put(key)
    if (value == null) writer.varint(0)
    else {
      writer.varint(value.length + 1)
      writer.put(value)
    }
  }
  new Writer(writer.bytes).u32(sum(writer.bytes))
  return writer.bytes
}

/** Undefined for a record that is damaged. */
export function decodeUndo(bytes: Uint8Array): Before[] | undefined {
  try {
    const reader = new Reader(bytes)
    if (reader.u32() !== sum(bytes)) return undefined
    const record: Before[] = []
    while (reader.left > 0) {
      const key = reader.take(reader.varint())
      const length = reader.varint()
      record.push({ key, value: length === 0 ? undefined : reader.take(length - 1) })
    }
    return record
  } catch {
    return undefined
  }
}

/** FNV-1a over all but the sum itself. */
function sum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let i = 4; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash >>> 0
}
