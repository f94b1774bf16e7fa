/** The key that the rewards go to. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DataUnusableError } from 'blockwire/errors'
import { ed25519, type KeyPair } from 'blockwire/pow'

/**
 * The pair in `reward.key` of the directory (the secret seed as hex, readable by its owner only), made there the first time.
 * Without a directory a new one, which is gone with the process.
 *
 * @throws DataUnusableError when the file cannot be read, written or understood
 */
export function loadOrCreateKey(dataDir: string | undefined): KeyPair {
  if (dataDir == null) return ed25519.generate()
  const file = join(dataDir, 'reward.key')
  try {
    const found = read(file)
    if (found != null) return found
    mkdirSync(dataDir, { recursive: true })
    const made = ed25519.generate()
    // written aside and renamed: a crash leaves no half of a key
    const aside = `${file}.${process.pid}`
    writeFileSync(aside, `${Buffer.from(made.secretKey).toString('hex')}\n`, { mode: 0o600 })
    chmodSync(aside, 0o600)
    renameSync(aside, file)
    return made
  } catch (err) {
    if (err instanceof DataUnusableError) throw err
    throw new DataUnusableError(dataDir, err instanceof Error ? err.message : String(err), err)
  }
}

/** A name that says the same as the address, for who gives none. */
export function nameOf(key: KeyPair): string {
  return `miner-${Buffer.from(key.publicKey.subarray(0, 3)).toString('hex')}`
}

function read(file: string): KeyPair | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new DataUnusableError(file, 'it is not a key; move it away and a new one is made')
  return ed25519.generate(Buffer.from(text, 'hex'))
}
