import { MemoryLevel } from 'memory-level'
import { ConfigError } from '../errors.js'
import type { Database } from './store.js'

/** A database of one's own, in memory. */
export function memory(): Database {
  return new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
}

/** @throws ConfigError for a database whose keys and values are not bytes. */
export function checkDatabase(db: Database): Database {
  for (const encoding of [db.keyEncoding(), db.valueEncoding()]) {
    if (encoding.commonName !== 'view' && encoding.commonName !== 'buffer')
      throw new ConfigError(
        'db',
        `has encoding ${encoding.commonName}: open it with keyEncoding and valueEncoding 'view'`
      )
  }
  return db
}
