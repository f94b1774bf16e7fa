import type { Database, FileName, FreezerFiles } from 'blockwire/chain'
import { copyOf } from './model.js'

/** Files in memory, that can be copied at any moment, damaged, and fail. */
export class MemoryFiles implements FreezerFiles {
  readonly bytes: Record<FileName, Uint8Array> = {
    headers: new Uint8Array(0),
    blocks: new Uint8Array(0),
    index: new Uint8Array(0)
  }
  syncs = 0
  failing = false
  /** Called when a write is done, before whoever made it goes on. */
  written: () => Promise<void> = async () => {}

  async size(file: FileName): Promise<number> {
    return this.bytes[file].length
  }

  readSync(file: FileName, at: number, length: number): Uint8Array {
    return this.bytes[file].slice(at, at + length)
  }

  async read(file: FileName, at: number, length: number): Promise<Uint8Array> {
    return this.readSync(file, at, length)
  }

  async write(file: FileName, at: number, parts: Uint8Array[]): Promise<void> {
    await null
    if (this.failing) throw new Error('disk full')
    let end = at
    for (const part of parts) {
      const bytes = new Uint8Array(Math.max(this.bytes[file].length, end + part.length))
      bytes.set(this.bytes[file])
      bytes.set(part, end)
      this.bytes[file] = bytes
      end += part.length
    }
    await this.written()
  }

  async sync(): Promise<void> {
    this.syncs++
  }

  copy(): MemoryFiles {
    const copy = new MemoryFiles()
    for (const file of Object.keys(this.bytes) as FileName[]) copy.bytes[file] = this.bytes[file].slice()
    return copy
  }
}

/** What a crash would leave at this moment. */
export async function crashed(db: Database, files: MemoryFiles): Promise<{ db: Database; files: MemoryFiles }> {
  // the files first: the batch of a change comes after them
  const copy = files.copy()
  return { db: await copyOf(db), files: copy }
}
