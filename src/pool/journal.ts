import { bytes, type Database, struct, u53, varBytes } from '../chain/index.js'

/** An own transaction as it is kept on disk. */
export interface JournalRecord {
  id: Uint8Array
  /** Counts up as they are submitted: later ones may need earlier ones. */
  number: number
  /** When it was submitted, ms since 1970. */
  at: number
  /** The block of the head chain that holds it. */
  place: { height: number; hash: Uint8Array } | undefined
  bytes: Uint8Array
}

/** Own transactions on disk. */
export interface Journal {
  /** All of them, in the order in which they were submitted. Records that cannot be read are passed over. */
  read(): Promise<JournalRecord[]>
  /** Writes and deletes in one batch, synced to disk. */
  write(put: JournalRecord[], del: Uint8Array[]): Promise<void>
}

/** `j` ‖ `t` ‖ transaction ID, see docs/store.md: `j` is for what must outlive the process, the second byte says whose it is. */
const TABLE = Uint8Array.of(0x6a, 0x74)
const TABLE_END = Uint8Array.of(0x6a, 0x75)
const NOWHERE = new Uint8Array(32)

/** Height 0: in no block. Genesis is nobody's to submit to. */
const layout = struct({ number: u53, at: u53, height: u53, block: bytes(32), tx: varBytes(16 * 1_048_576) })

/** In the node's own database. */
export function journalIn(db: Database): Journal {
  return {
    async read() {
      const records: JournalRecord[] = []
      for await (const [key, value] of db.iterator({ gte: TABLE, lt: TABLE_END })) {
        const record = decode(new Uint8Array(key as Uint8Array).subarray(TABLE.length), value)
        if (record != null) records.push(record)
      }
      return records.sort((a, b) => a.number - b.number)
    },
    async write(put, del) {
      // an option of LevelDB that a database in memory has no use for
      const synced: object = { sync: true }
      await db.batch(
        [
          ...put.map((record) => ({ type: 'put' as const, key: keyOf(record.id), value: encode(record) })),
          ...del.map((id) => ({ type: 'del' as const, key: keyOf(id) }))
        ],
        synced
      )
    }
  }
}

function keyOf(id: Uint8Array): Uint8Array {
  return Uint8Array.from([...TABLE, ...id])
}

function encode({ number, at, place, bytes: tx }: JournalRecord): Uint8Array {
  return layout.encode({ number, at, height: place?.height ?? 0, block: place?.hash ?? NOWHERE, tx })
}

function decode(id: Uint8Array, value: Uint8Array): JournalRecord | undefined {
  try {
    const { number, at, height, block, tx } = layout.decode(value)
    return { id, number, at, place: height === 0 ? undefined : { height, hash: block.slice() }, bytes: tx.slice() }
  } catch {
    return undefined
  }
}
