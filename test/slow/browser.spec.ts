import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../helpers/process.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** `blockwire` brings the TCP host, `blockwire/testing` brings `blockwire`. */
const NODE_ONLY = ['.', './testing', './package.json']

const { exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
const rooms = Object.keys(exports).filter((path) => !NODE_ONLY.includes(path))

/** The file of an export, e.g. './chain'. */
const fileOf = (path: string): string => join(ROOT, exports[path].default)

/** Bundles for a browser as an app's Vite would, and gives the code and what the bundler had to say. */
async function bundle(input: string): Promise<{ code: string; complaints: string[] }> {
  const complaints: string[] = []
  const built = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      rolldownOptions: {
        input,
        preserveEntrySignatures: 'strict',
        onwarn: ({ message }) => complaints.push(message)
      }
    }
  })
  const chunks = [built].flat().flatMap((result) => ('output' in result ? result.output : []))
  const code = chunks.map((chunk) => (chunk.type === 'chunk' ? chunk.code : '')).join('\n')
  expect(chunks).toHaveLength(1)
  return { code, complaints }
}

describe('in a browser', () => {
  it.each(rooms)('%s bundles without anything of Node', async (room) => {
    const { code, complaints } = await bundle(fileOf(room))
    console.log(`${room.replace('.', 'blockwire')}: ${(gzipSync(code).length / 1024).toFixed(0)} KiB gzipped`)
    expect(complaints).toEqual([])
    expect(code).not.toMatch(/["']node:|__vite-browser-external|\brequire\(/)
  })

  it('a chain of signed blocks runs where there is no process and no Buffer', async () => {
    const folder = await temporaryDirectory()
    try {
      const entry = join(folder.path, 'entry.js')
      await writeFile(
        entry,
        `
        import { bytes, Chain, merkleProof, splitBlock, struct, table, toHex, txId, u53, verifyMerkleProof } from '${fileOf('./chain')}'
        import { ed25519, signed } from '${fileOf('./ed25519')}'
        import { coin, mineHeader, draftHeader, EASIEST } from '${fileOf('./pow')}'
        export async function run() {
          const { publicKey, secretKey } = ed25519.generate(new Uint8Array(32).fill(7))
          const header = signed({ parent: bytes(32), root: bytes(32), time: u53 })
          const counts = table('count', struct({ n: u53 }), { n: 0 })
          const chain = new Chain({ rules: {
            network: 'tab',
            genesis: { header: { time: 0, signature: new Uint8Array(64) } },
            header,
            tx: struct({ by: bytes(32) }),
            checkHeader: (value) => header.verify(value, publicKey),
            state: {
              async applyTx({ by }, ctx, db) {
                counts.put(db, by, { n: (await counts.get(db, by)).n + 1 })
                return true
              }
            }
          } })
          await chain.open()
          for (let i = 0; i < 2; i++) {
            await chain.propose({ txs: [publicKey], seal: (draft) => ({ header: header.sign(draft.header, secretKey) }) })
          }
          const rules = coin({ network: 'tab', powLimit: EASIEST })
          const mined = new Chain({ rules })
          await mined.open()
          await mined.propose({
            prefix: ({ height }) => [{ kind: 'reward', height, to: publicKey, name: 'tab', extraNonce: 0 }],
            seal: (draft) => ({ header: mineHeader(draftHeader(rules, draft, Date.now())) })
          })
          const { n } = await counts.get(chain.state, publicKey)
          const light = new Chain({ rules, bodies: false })
          await light.open()
          for await (const page of mined.headers(1, 1)) await light.addHeaders(page)
          const [reward] = splitBlock(await mined.block(mined.head.hash), mined.limits).txs
          const proof = { leaf: txId(reward), index: 0, size: 1, path: merkleProof([txId(reward)], 0) }
          const proven = verifyMerkleProof(proof, light.head.header.root)
          return [chain.head.height, n, mined.head.height, proven, toHex(chain.genesis.hash)].join(' ')
        }`
      )
      const { code, complaints } = await bundle(entry)
      expect(complaints).toEqual([])
      await writeFile(join(folder.path, 'bundle.mjs'), code)
      await writeFile(
        join(folder.path, 'page.mjs'),
        `for (const name of ['process', 'Buffer', 'global', 'setImmediate', 'clearImmediate']) delete globalThis[name]
        const { run } = await import('./bundle.mjs')
        console.log(await run())`
      )
      const page = await promisify(execFile)(process.execPath, [join(folder.path, 'page.mjs')], { timeout: 60_000 })
      expect(page.stdout).toMatch(/^2 2 1 true [0-9a-f]{64}\n$/)
    } finally {
      await folder.remove()
    }
  })
})
