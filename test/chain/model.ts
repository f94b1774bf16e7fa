import type { Chain, Database, Located } from 'blockwire/chain'
import { toHex } from 'blockwire/chain'
import { buildBlock, type TestBlock, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'

export type TestChain = Chain<TestHeader, TestTx>

/** One block of a random tree. */
export interface Plan {
  /** Which of those before it is its parent: modulo their number. */
  parent: number
  weight: number
  txs: Array<{ kind: TestTx['kind']; key: string; value: string }>
}

export const plan = (kinds: TestTx['kind'][], maxWeight = 3): fc.Arbitrary<Plan> =>
  fc.record({
    // mostly on one of the last few, so that branches grow long
    parent: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: -3, max: -1 }) }, { weight: 1, arbitrary: fc.nat(40) }),
    weight: fc.integer({ min: 1, max: maxWeight }),
    txs: fc.array(
      fc.record({
        kind: fc.constantFrom(...kinds),
        key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        value: fc.string({ maxLength: 4 })
      }),
      { maxLength: 3 }
    )
  })

export interface Node {
  block: TestBlock
  parent: Node | undefined
  /** State after it, or undefined where it or one before it is invalid. */
  state: Map<string, string> | undefined
}

/** What a chain should make of a tree of blocks, worked out the slow way. */
export class Model {
  readonly rules
  readonly genesis: Node
  readonly nodes: Node[] = []
  #salt = 0

  constructor(rules: ReturnType<typeof testRules>, genesis: Located<TestHeader>, state: Record<string, string> = {}) {
    this.rules = rules
    const block = {
      bytes: new Uint8Array(0),
      headerBytes: new Uint8Array(0),
      hash: genesis.hash,
      header: genesis.header,
      located: genesis
    }
    this.genesis = { block, parent: undefined, state: new Map(Object.entries(state)) }
  }

  grow(plans: Plan[]): this {
    for (const each of plans) {
      const all = [this.genesis, ...this.nodes]
      const index = each.parent < 0 ? Math.max(0, all.length + each.parent) : each.parent % all.length
      this.add(all[index]!, each)
    }
    return this
  }

  add(parent: Node, { weight, txs }: Pick<Plan, 'weight' | 'txs'>): Node {
    const salted = txs.map((tx) => ({ ...tx, salt: this.#salt++ }))
    const block = buildBlock(this.rules, parent.block.located, { weight, txs: salted, nonce: this.#salt++ })
    const node: Node = { block, parent, state: apply(parent.state, salted) }
    this.nodes.push(node)
    return node
  }

  /** The best tip whose blocks are all valid; ties go to the lowest hash. */
  best(): Node {
    let best = this.genesis
    for (const node of this.nodes) {
      const { work, hash } = node.block.located
      if (node.state == null || work < best.block.located.work) continue
      if (work > best.block.located.work || toHex(hash) < toHex(best.block.hash)) best = node
    }
    return best
  }

  /** Is there one best tip only? */
  get unique(): boolean {
    const most = this.best().block.located.work
    return this.nodes.filter(({ state, block }) => state != null && block.located.work === most).length === 1
  }
}

function apply(before: Map<string, string> | undefined, txs: TestTx[]): Map<string, string> | undefined {
  if (before == null) return undefined
  const state = new Map(before)
  for (const { kind, key, value } of txs) {
    if (kind === 'fail' || kind === 'bad' || (kind === 'once' && state.has(key))) return undefined
    if (kind === 'del') state.delete(key)
    else state.set(key, value)
  }
  return state
}

export function memoryDb(): Database {
  return new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
}

/** A database that answers no read at once. */
export function waitingDb(): Database {
  const db = memoryDb()
  ;(db.supports as { getSync?: boolean }).getSync = false
  db.getSync = () => {
    throw new Error('read at once')
  }
  return db
}

/** Every key of a table, by its first byte, as text and hex. */
export async function table(db: Database, letter: string): Promise<Map<string, string>> {
  const first = letter.charCodeAt(0)
  const found = new Map<string, string>()
  for await (const [key, value] of db.iterator({ gte: Uint8Array.of(first), lt: Uint8Array.of(first + 1) })) {
    found.set(toHex(key.subarray(1)), toHex(value))
  }
  return found
}

/** The whole state as text. */
export async function stateOf(db: Database): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const [key, value] of db.iterator({ gte: Uint8Array.of(0x73), lt: Uint8Array.of(0x74) })) {
    found.set(new TextDecoder().decode(key.subarray(1)), new TextDecoder().decode(value))
  }
  return found
}

/** Everything that a chain wrote, to be compared. */
export async function contents(db: Database): Promise<string[]> {
  const found: string[] = []
  for await (const [key, value] of db.iterator()) found.push(`${toHex(key)} ${toHex(value)}`)
  return found
}

export async function copyOf(db: Database): Promise<Database> {
  const copy = memoryDb()
  await copy.open()
  const entries = await db.iterator().all()
  await copy.batch(entries.map(([key, value]) => ({ type: 'put' as const, key: key.slice(), value: value.slice() })))
  return copy
}

export const sorted = (state: Map<string, string>): Array<[string, string]> =>
  [...state].sort(([a], [b]) => (a < b ? -1 : 1))

export { testRules }
