/** Keys in files: the one that the rewards go to, and those of wallets. */
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ConfigError, DataUnusableError } from 'blockwire/errors'
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

/**
 * A new pair, its secret seed written to a file that was not there (0600). What is there is never overwritten.
 *
 * @throws ConfigError when the file exists, DataUnusableError when it cannot be written
 */
export function createKey(file: string): KeyPair {
  const made = ed25519.generate()
  try {
    mkdirSync(dirname(file), { recursive: true })
    const handle = openSync(file, 'wx', 0o600)
    try {
      writeFileSync(handle, `${Buffer.from(made.secretKey).toString('hex')}\n`)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EEXIST')
      throw new ConfigError('--key', `${file} is there already, and no key is overwritten`, {
        fix: 'choose another file'
      })
    throw new DataUnusableError(file, err instanceof Error ? err.message : String(err), err)
  }
  return made
}

/**
 * The pair in a file.
 *
 * @throws ConfigError when there is none, DataUnusableError when it cannot be read or understood
 */
export function readKey(file: string): KeyPair {
  let found: KeyPair | undefined
  try {
    found = read(file)
  } catch (err) {
    if (err instanceof DataUnusableError) throw err
    throw new DataUnusableError(file, err instanceof Error ? err.message : String(err), err)
  }
  if (found != null) return found
  throw new ConfigError('--key', `there is no ${file}`, {
    fix: "make one with 'wallet new', or name the reward.key in a node's directory"
  })
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
