import { readSync, writevSync } from 'node:fs'
import { constants, type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileName, FreezerFiles } from './chain/index.js'

/** To hand a write to another thread takes as long as to write so much into the system's cache. Measured: 30 to 90 µs. */
const SMALL_BYTES = 65_536
const NAMES: FileName[] = ['headers', 'blocks', 'index']

/** The files of old blocks in a directory, created where they are missing. The second function closes them; it may be called twice. */
export async function openFreezerFiles(dir: string): Promise<{ files: FreezerFiles; close: () => Promise<void> }> {
  await mkdir(dir, { recursive: true })
  const handles = new Map<FileName, FileHandle>()
  const close = async (): Promise<void> => {
    const open = [...handles.values()]
    handles.clear()
    await Promise.all(open.map((handle) => handle.close()))
  }
  try {
    for (const name of NAMES)
      handles.set(name, await open(join(dir, `${name}.dat`), constants.O_RDWR | constants.O_CREAT))
  } catch (err) {
    await close()
    throw err
  }
  return { files: new DiskFiles(handles), close }
}

class DiskFiles implements FreezerFiles {
  readonly #handles: Map<FileName, FileHandle>

  constructor(handles: Map<FileName, FileHandle>) {
    this.#handles = handles
  }

  async size(file: FileName): Promise<number> {
    return (await this.#handle(file).stat()).size
  }

  async read(file: FileName, at: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    let got = 0
    while (got < length) {
      const { bytesRead } = await this.#handle(file).read(bytes, got, length - got, at + got)
      if (bytesRead === 0) break
      got += bytesRead
    }
    return bytes.subarray(0, got)
  }

  readSync(file: FileName, at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    let got = 0
    while (got < length) {
      const read = readSync(this.#handle(file).fd, bytes, got, length - got, at + got)
      if (read === 0) break
      got += read
    }
    return bytes.subarray(0, got)
  }

  async write(file: FileName, at: number, parts: Uint8Array[]): Promise<void> {
    const handle = this.#handle(file)
    const small = parts.reduce((size, part) => size + part.length, 0) <= SMALL_BYTES
    let rest = parts
    let to = at
    while (rest.length > 0) {
      // the system takes 1,024 at once
      const some = rest.slice(0, 512)
      const written = small ? writevSync(handle.fd, some, to) : (await handle.writev(some, to)).bytesWritten
      to += written
      rest = [...behind(some, written), ...rest.slice(512)]
    }
  }

  async sync(): Promise<void> {
    await Promise.all(NAMES.map((file) => this.#handle(file).datasync()))
  }

  #handle(file: FileName): FileHandle {
    const handle = this.#handles.get(file)
    if (handle == null) throw new Error(`the file of ${file} is closed`)
    return handle
  }
}

/** What is left of parts of which so many bytes were written. */
function behind(parts: Uint8Array[], written: number): Uint8Array[] {
  let skip = written
  let i = 0
  while (i < parts.length && parts[i]!.length <= skip) skip -= parts[i++]!.length
  const left = parts.slice(i)
  if (skip > 0) left[0] = left[0]!.subarray(skip)
  return left
}
