// Sync as people write it on bare libp2p: a fresh stream for each block, one after the other. Nothing is checked or kept.
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { asked, role, spent, tell } from '../child.mjs'
import { readU32, writeU32 } from './frames.mjs'
import { host } from './host.mjs'

const PROTOCOL = '/bench/block/1'
const { role: part, config } = role()

if (part === 'server') {
  const block = new Uint8Array(config.bytes)
  const node = await host(['/ip4/127.0.0.1/tcp/0'])
  await node.handle(
    PROTOCOL,
    async (stream) => {
      const messages = lpStream(stream)
      const request = (await messages.read()).subarray()
      writeU32(block, 0, readU32(request, 0))
      await messages.write(block)
      await stream.close()
    },
    { maxInboundStreams: 1_000 }
  )
  const begin = process.cpuUsage()
  await tell({ addresses: node.getMultiaddrs().map(String) })
  await asked()
  await tell(spent(begin))
  await asked()
  await node.stop()
} else {
  const node = await host([])
  const connection = await node.dial(multiaddr(config.addresses[0]))
  const begin = process.cpuUsage()
  const from = performance.now()
  for (let number = 0; number < config.blocks; number++) {
    const stream = await connection.newStream(PROTOCOL, { maxOutboundStreams: 1_000 })
    const messages = lpStream(stream)
    const request = new Uint8Array(4)
    writeU32(request, 0, number)
    await messages.write(request)
    const block = (await messages.read()).subarray()
    if (block.length !== config.bytes || readU32(block, 0) !== number) throw new Error(`block ${number} is another one`)
    await stream.close()
  }
  await tell({ seconds: (performance.now() - from) / 1_000, ...spent(begin) })
  await node.stop()
}
