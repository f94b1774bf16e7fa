import { createNode } from 'blockwire'
import type { Conversation } from 'blockwire/chat'
import { buildBlock, testRules, until } from 'blockwire/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import { writeVarint } from '../../dist/src/protocol/varint.js'
import { chatHost, nextConversation, read, stopHosts, take } from '../chat/hosts.js'
import { build, clean, GoProgram, whyNoGo } from './go.js'

const reason = whyNoGo()
if (reason != null) console.warn(`interop with go-libp2p is skipped: ${reason}`)

describe.skipIf(reason != null)('with go-libp2p', () => {
  beforeAll(build)
  afterEach(async () => {
    GoProgram.killAll()
    await stopHosts()
  })
  afterAll(clean)

  describe('the chat of its example', () => {
    async function talk(ours: Conversation, go: GoProgram): Promise<void> {
      expect(ours.delivery).toBe('unconfirmed')
      await ours.send('hello from here')
      await ours.send('小明 👩‍👩‍👧')
      await go.line(/^line hello from here$/)
      await go.line(/^line 小明 👩‍👩‍👧$/)
      go.type('hello from there', 'second\r')
      expect(await take(ours, 2)).toEqual(['hello from there', 'second'])
      // half of it may end before the other
      go.end()
      expect(await read(ours)).toEqual([])
      await ours.send('still listening?')
      await go.line(/^line still listening\?$/)
      expect(await ours.close()).toEqual({ reason: 'left' })
      expect(await go.exit).toBe(0)
      expect(go.lines.at(-1)).toBe('end')
    }

    it('carries lines both ways when we dial', async () => {
      const host = await chatHost({}, 'tcp')
      const go = new GoProgram('chat')
      const [, address] = await go.line(/^listening (\S+)$/)
      await talk(await host.services.chat.open(address!), go)
    })

    it('carries lines both ways when it dials', async () => {
      const host = await chatHost({}, 'tcp')
      const incoming = nextConversation(host)
      const go = new GoProgram('chat', host.getMultiaddrs()[0]!.toString())
      await talk(await incoming, go)
    })
  })

  describe('a chain', () => {
    const rules = testRules({ network: 'interop' })
    const listen = ['/ip4/127.0.0.1/tcp/0']

    it('gives its headers to a client written from docs/wire.md', async () => {
      await using node = await createNode({ rules, listen })
      for (let height = 0; height < 10; height++) await node.chain.add(buildBlock(rules, node.chain.head).bytes)
      const go = new GoProgram('headers', 'interop', toHex(node.chain.genesis.hash), node.multiaddrs[0]!)
      expect(await go.exit, go.stderr).toBe(0)
      expect(go.lines.filter((line) => line.startsWith('header '))).toHaveLength(10)
      expect(go.lines.at(-1)).toBe(`head ${toHex(node.chain.head.hash)}`)
    })

    it('tells one of another chain so', async () => {
      await using node = await createNode({ rules, listen })
      const go = new GoProgram('headers', 'interop', 'ab'.repeat(32), node.multiaddrs[0]!)
      expect(await go.exit).toBe(1)
      // a goodbye, field 3, with code 2
      expect(go.stderr).toMatch(/^refused: 1a\w{2,4}0802120767656e65736973/)
    })

    it('has its blocks and transactions carried by a node of go-libp2p, and takes its own', async () => {
      await using one = await createNode({ rules, listen })
      await using other = await createNode({ rules, listen })
      const go = new GoProgram(
        'gossip',
        'interop',
        toHex(one.chain.genesis.hash),
        one.multiaddrs[0]!,
        other.multiaddrs[0]!
      )
      await go.line(/^ready$/)
      for (const node of [one, other])
        await until('the Go node', () => node.gossip.links().some(({ mesh }) => mesh.length === 2))
      expect(one.libp2p.getConnections(other.peerId)).toEqual([])

      const first = buildBlock(rules, one.chain.head)
      await one.chain.add(first.bytes)
      await one.blocks.publish(first.bytes)
      await go.line(new RegExp(`^blocks ${toHex(first.bytes)}$`))
      await until('the block at the other side of the Go node', () => other.chain.head.height === 1)

      const tx = { kind: 'set', key: 'a', value: 'b', salt: 1 } as const
      await one.pool.add(tx)
      const bytes = rules.tx.encode(tx)
      const batch = new Uint8Array(1 + bytes.byteLength)
      writeVarint(bytes.byteLength, batch, 0)
      batch.set(bytes, 1)
      await go.line(new RegExp(`^txs ${toHex(batch)}$`))
      await until('the transaction at the other side', () => other.pool.size === 1)

      const second = buildBlock(rules, one.chain.head)
      const own = rules.tx.encode({ ...tx, salt: 2 })
      go.type(`blocks ${toHex(second.bytes)}`, `txs ${own.byteLength.toString(16).padStart(2, '0')}${toHex(own)}`)
      for (const node of [one, other]) {
        await until('what the Go node made', () => node.chain.head.height === 2 && node.pool.size === 2)
      }
      expect(go.stderr).toBe('')
    })
  })
})
