// Replication of a hypercore: an append-only log whose Merkle tree is signed, here from disk (RocksDB) to disk over its Noise stream
// on TCP. The reader checks each block against the tree. A process of its own for each side, as with the others.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import Hypercore from 'hypercore'
import { asked, role, spent, tell } from '../../child.mjs'

/** Bytes appended at once. */
const APPEND_BYTES = 4 << 20

const { role: part, config } = role()

/** @param {number} number @param {number} bytes */
function blockOf(number, bytes) {
  const block = Buffer.alloc(bytes, number & 0xff)
  block.writeUInt32LE(number, 0)
  return block
}

/** @param {string} dir @param {number} count @param {number} bytes */
async function fill(dir, count, bytes) {
  const core = new Hypercore(dir)
  await core.ready()
  const list = Math.max(1, Math.floor(APPEND_BYTES / bytes))
  for (let from = core.length; from < count; from += list) {
    const blocks = Array.from({ length: Math.min(list, count - from) }, (_, i) => blockOf(from + i, bytes))
    await core.append(blocks)
  }
  return core
}

if (part === 'server') {
  const core = await fill(config.dir, config.blocks, config.bytes)
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(core.replicate(false)).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const begin = process.cpuUsage()
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  await tell({ port: address.port, key: core.key.toString('hex') })
  await asked()
  await tell(spent(begin))
  await asked()
  server.close()
  await core.close()
} else {
  const { blocks, bytes } = config
  const core = new Hypercore(config.dir, Buffer.from(config.key, 'hex'))
  await core.ready()
  const socket = connect({ port: config.port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  const joined = once(core, 'peer-add')
  socket.pipe(core.replicate(true)).pipe(socket)
  await joined

  const begin = process.cpuUsage()
  const from = performance.now()
  await core.download({ start: 0, end: blocks, linear: config.linear ?? false }).done()
  const seconds = (performance.now() - from) / 1_000
  const used = spent(begin)

  if (core.contiguousLength !== blocks) throw new Error(`${core.contiguousLength} of ${blocks} blocks are here`)
  for (const number of [0, blocks >> 1, blocks - 1]) {
    const block = await core.get(number, { wait: false })
    if (!block?.equals(blockOf(number, bytes))) throw new Error(`block ${number} is another one`)
  }
  await tell({ seconds, ...used })
  socket.destroy()
  await core.close()
}
process.exit()
