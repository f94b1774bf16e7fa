// The frozen prototype: ranges asked for ahead, frames gathered into 64 KiB sends, one SHA-256 a block, LevelDB on both sides. It
// checks length, number and hash of a block and nothing else, so it is what a sync can approach, not what one can be.
import { hash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { ClassicLevel } from 'classic-level'
import { asked, role, spent, tell } from '../child.mjs'
import { frames, readU32, Sender, writeU32 } from './frames.mjs'
import { host } from './host.mjs'

const PROTOCOL = '/bench/range/1'
/** Ranges asked for before the first of them is here. */
const AHEAD = 4
/** Bytes being written at once. */
const MAX_WRITING = 64e6

/** @param {number} number */
function keyOf(number) {
  const key = Buffer.alloc(5)
  key[0] = 98
  key.writeUInt32BE(number, 1)
  return key
}

/** @param {string} dir @param {object} options @returns {Promise<ClassicLevel<Buffer, Uint8Array>>} */
async function open(dir, options) {
  await mkdir(dir, { recursive: true })
  const db = new ClassicLevel(dir, { keyEncoding: 'buffer', valueEncoding: 'view', compression: false, ...options })
  await db.open()
  return /** @type {any} */ (db)
}

/** Fills a directory with blocks to serve. @param {string} dir @param {number} count @param {number} bytes */
export async function fill(dir, count, bytes) {
  const db = await open(dir, {})
  for (let from = 0; from < count; from += 200) {
    const batch = db.batch()
    for (let number = from; number < Math.min(from + 200, count); number++) {
      const block = new Uint8Array(bytes).fill(number)
      writeU32(block, 0, number)
      batch.put(keyOf(number), block)
    }
    await batch.write()
  }
  await db.compactRange(keyOf(0), keyOf(count))
  await db.close()
}

/** @param {{ dir: string }} config */
async function serve({ dir }) {
  const db = await open(dir, { cacheSize: 64e6 })
  const node = await host(['/ip4/127.0.0.1/tcp/0'])
  await node.handle(PROTOCOL, (stream) => {
    const sender = new Sender(stream)
    /** @type {Array<[number, number]>} */
    const ranges = []
    let busy = false
    const answer = async () => {
      if (busy) return
      busy = true
      for (let range = ranges.shift(); range != null; range = ranges.shift()) {
        const values = db.values({
          gte: keyOf(range[0]),
          lt: keyOf(range[1]),
          .../** @type {object} */ ({ highWaterMarkBytes: 1 << 20 })
        })
        for (let page = await values.nextv(1_000); page.length > 0; page = await values.nextv(1_000)) {
          for (const block of page) if (!sender.fits(block)) await sender.put(block)
        }
        await values.close()
        await sender.flush()
      }
      busy = false
    }
    const receive = frames((frame) => {
      ranges.push([readU32(frame, 0), readU32(frame, 4)])
      void answer()
    })
    stream.addEventListener('message', ({ data }) => receive(data))
  })
  const begin = process.cpuUsage()
  await tell({ addresses: node.getMultiaddrs().map(String) })
  await asked()
  await tell(spent(begin))
  await asked()
  await node.stop()
  await db.close()
}

/** @param {{ dir: string, addresses: string[], blocks: number, bytes: number }} config */
async function download({ dir, addresses, blocks, bytes }) {
  const range = bytes > 10_000 ? 50 : 1_000
  const db = await open(dir, { writeBufferSize: 16 << 20 })
  const node = await host([])
  const connection = await node.dial(multiaddr(addresses[0]))
  const stream = await connection.newStream(PROTOCOL)
  const begin = process.cpuUsage()
  const from = performance.now()

  let wanted = 0
  let got = 0
  let writing = 0
  /** @type {Array<{ type: 'put', key: Buffer, value: Uint8Array }>} */
  let batch = []
  const writes = new Set()
  const { promise: done, resolve, reject } = Promise.withResolvers()

  const ask = () => {
    while (wanted < blocks && wanted - got < AHEAD * range && writing < MAX_WRITING) {
      const to = Math.min(wanted + range, blocks)
      const request = new Uint8Array(12)
      writeU32(request, 0, 8)
      writeU32(request, 4, wanted)
      writeU32(request, 8, to)
      stream.send(request)
      wanted = to
    }
  }
  const write = () => {
    if (batch.length === 0) return
    const size = batch.length * bytes
    writing += size
    const write = db.batch(batch).then(() => {
      writes.delete(write)
      writing -= size
      ask()
    }, reject)
    writes.add(write)
    batch = []
  }
  const receive = frames((block) => {
    if (block.length !== bytes || readU32(block, 0) !== got) reject(new Error(`block ${got} is another one`))
    hash('sha256', block, 'buffer')
    batch.push({ type: 'put', key: keyOf(got), value: block })
    got++
    if (batch.length >= range) write()
  })
  stream.addEventListener('message', ({ data }) => {
    receive(data)
    if (got >= blocks) resolve(undefined)
    else ask()
  })
  ask()
  await done
  write()
  while (writes.size > 0) await Promise.all(writes)
  const sample = { seconds: (performance.now() - from) / 1_000, ...spent(begin) }
  await node.stop()
  await db.close()
  return sample
}

// imported for `fill`, or run as a child
if (process.argv[1]?.endsWith('limit.mjs')) {
  const { role: part, config } = role()
  if (part === 'server') await serve(config)
  else {
    const { warm = 0, dir } = config
    if (warm > 0) await download({ ...config, dir: join(dir, 'warm'), blocks: warm })
    await tell(await download({ ...config, dir: join(dir, 'measured') }))
  }
}
