import { equalBytes } from '../chain/index.js'
import { toHex } from '../hex.js'
import type { Admission, Kept } from './admission.js'
import type { Journal } from './journal.js'
import type { PoolChain } from './port.js'
import { recall } from './recall.js'

/** Takes our own of before out of the journal, and tries them on the state as it is now. What the rules do not take any more is deleted. */
export async function restore<Tx>(journal: Journal, chain: PoolChain<Tx>, admission: Admission<Tx>): Promise<void> {
  const records = await journal.read()
  if (records.length === 0) return
  const kept: Kept<Tx>[] = []
  const unfit: Uint8Array[] = []
  for (const { id: name, number, at, place, bytes } of records) {
    const { verdict, id, tx } = chain.checkTx(bytes)
    if (verdict.result !== 'accept' || tx === undefined) {
      unfit.push(name)
      continue
    }
    const hash = place == null ? undefined : chain.hashAt(place.height)
    const stands = hash != null && equalBytes(hash, place!.hash)
    const candidate = { key: toHex(id), id, bytes, tx, source: undefined }
    kept.push({ candidate, number, at, place: stands ? place : undefined })
  }
  const recalled = kept.some(({ place }) => place == null) ? await recall(chain) : []
  await admission.restore(kept, recalled)
  if (unfit.length > 0) await journal.write([], unfit)
}
