// One side of serving in a process of its own, told what to do by one argument of JSON and by messages; says on stdout what came of it,
// one JSON line each.
//   { role: 'server', data, blocks, bytes }  a node with a chain of blocks of about so many bytes; 'spent' tells its CPU time and what it
//                                            holds, 'rest' that no answer is waited for any more
//   { role: 'reader', address }              { read: bytes } reads blocks as fast as they come, two requests at once
//   { role: 'flooder', address, rate }       'flood' asks for a block so often in a second, whatever is answered, until 'enough'
//   { role: 'sleeper', address, blocks }     four nodes, of which each asks for all, twice, at 'ask': who stops the process then has four
//                                            peers that read nothing
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createNode } from 'blockwire'
import { buildChain, testRules } from 'blockwire/testing'
import { systemClock } from '../../dist/src/clock.js'
import { SyncRequest } from '../../dist/src/pb/sync.js'
import { syncProtocol } from '../../dist/src/sync/wire.js'

const { role, address, data, blocks = 256, bytes, rate } = JSON.parse(process.argv[2])
const rules = testRules({ network: 'serving' })
const say = (event, what) => console.log(JSON.stringify({ event, ...what }))
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const RANGE = 256
setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')

const asker = () => createNode({ rules, role: 'seed', seeds: [address], listen: [] })
const node = role === 'server' ? await createNode({ rules, dataDir: data }) : await asker()
const { chain } = node
const protocol = syncProtocol(chain.limits, systemClock)
const id = protocol.id(chain.id)

function connection(of = node) {
  return of.libp2p.getConnections().find((each) => each.status === 'open')
}

/** One that the server knows. */
async function joined(of = node) {
  if (of.peers.connected.size === 0) await once(of.peers, 'join')
  return connection(of)
}

const parts = {
  async server() {
    const value = 'x'.repeat(60_000)
    const size = Math.min(bytes, 60_000)
    for (let height = chain.head.height; height < blocks; height = chain.head.height) {
      const more = buildChain(rules, chain.head, Math.min(20, blocks - height), (i) => ({
        txs: Array.from({ length: Math.max(1, Math.round(bytes / size)) }, (_, n) => ({
          kind: 'set',
          key: 'k',
          value: value.slice(0, size),
          salt: (height + i) * 100 + n
        }))
      }))
      const { verdict } = await chain.addBlocks(more.map((block) => block.bytes))
      if (verdict.result !== 'accept') throw new Error(verdict.detail)
    }
    const answering = () =>
      node.libp2p
        .getConnections()
        .flatMap(({ streams }) => streams)
        .filter(({ protocol, status }) => protocol === id && (status === 'open' || status === 'closing'))
    say('listening', { multiaddrs: node.multiaddrs })
    let asked = process.cpuUsage()
    return {
      async spent() {
        const { user, system } = process.cpuUsage(asked)
        const answers = answering().length
        // what a native buffer held is given back a moment after it was found to be garbage, and nothing tells of it
        for (let n = 0; n < 5; n++) {
          gc()
          await sleep(20)
        }
        const { heapUsed, external } = process.memoryUsage()
        say('spent', { cpu: (user + system) / 1e6, held: heapUsed + external, answers })
        asked = process.cpuUsage()
      },
      async rest() {
        for (let open = answering(); open.length > 0; open = answering())
          await Promise.all(open.map((stream) => once(stream, 'close')))
        say('resting')
      }
    }
  },

  async reader() {
    const over = await joined()
    say('ready')
    return {
      async read(bytes) {
        let got = 0
        const one = async () => {
          while (got < bytes) {
            for await (const items of protocol.request(over, chain.id, { range: { from: 1, to: RANGE } })) {
              for (const item of items) got += item.length
              if (got >= bytes) break
            }
          }
        }
        await Promise.all([one(), one()])
        say('read', { bytes: got })
      }
    }
  },

  async flooder() {
    await joined()
    say('ready')
    const request = SyncRequest.encode({ range: { from: 1, to: 1 } })
    const message = Uint8Array.from([request.length, ...request])
    let flooding = true
    return {
      enough() {
        flooding = false
      },
      async flood() {
        const count = { asked: 0, opened: 0, answered: 0, reset: 0, cut: 0 }
        const ask = async (over) => {
          count.asked++
          try {
            const stream = await over.newStream(id, { maxOutboundStreams: 1e6 })
            count.opened++
            stream.addEventListener('message', () => count.answered++, { once: true })
            stream.addEventListener('close', ({ error }) => {
              if (error != null) count.reset++
            })
            stream.send(message)
            await stream.close()
          } catch {
            count.reset++
          }
        }
        const from = performance.now()
        let last
        while (flooding) {
          const due = ((performance.now() - from) * rate) / 1000
          const over = connection()
          if (over !== last && last != null) count.cut++
          last = over
          if (over != null) while (count.asked < due) void ask(over)
          else count.asked = Math.round(due)
          // the next is due in a millisecond
          await sleep(1)
        }
        say('flooded', count)
      }
    }
  },

  async sleeper() {
    const all = [node, await asker(), await asker(), await asker()]
    const connections = await Promise.all(all.map((each) => joined(each)))
    say('ready')
    return {
      async ask() {
        const request = SyncRequest.encode({ range: { from: 1, to: blocks } })
        const message = Uint8Array.from([request.length, ...request])
        for (const over of [...connections, ...connections]) {
          const stream = await over.newStream(id)
          stream.send(message)
          await stream.close()
          stream.addEventListener('message', () => {})
        }
        say('asked')
      }
    }
  }
}

const acts = await parts[role]()
process.on('message', (message) => {
  if (typeof message === 'string') void acts[message]?.()
  else for (const [name, value] of Object.entries(message)) void acts[name]?.(value)
})
process.on('disconnect', () => process.exit())
