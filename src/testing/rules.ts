import {
  type BaseHeader,
  bytes,
  type Chain,
  type Check,
  encodeBlock,
  type Limits,
  type Located,
  merkleRoot,
  type Rules,
  type StateDb,
  sha256,
  struct,
  text,
  txId,
  u8,
  u16,
  u32,
  u53
} from '../chain/index.js'

/** A header without proof: its work is what it says. */
export interface TestHeader extends BaseHeader {
  nonce: number
  /** Work of this header, 1 to 65,535. */
  weight: number
  /** 1: `checkHeader` refuses it. */
  bad: number
}

/**
 * `set` puts a value; `once` puts it, or is refused where the key exists; `fail` is refused by the state; `bad` is refused without
 * state; `throw` makes `applyTx` throw.
 */
export interface TestTx {
  kind: 'set' | 'once' | 'del' | 'fail' | 'bad' | 'throw'
  key: string
  value: string
  /** Makes otherwise equal transactions differ. */
  salt: number
}

export interface TestRulesOptions {
  /** @default 'test' */
  network?: string
  params?: Record<string, string | number>
  tie?: 'first-seen' | 'lowest-hash'
  forks?: number[]
  minimumWork?: bigint
  checkpoints?: Record<number, string>
  limits?: Limits
  lookback?: number
  /** Time of genesis, milliseconds since 1970. @default 1_700_000_000_000 */
  genesisTime?: number
  /** Answers of state rules come as promises. @default false */
  slow?: boolean
  stateVersion?: number
  /** State before block 1. */
  state?: Record<string, string>
}

const KINDS = ['set', 'once', 'del', 'fail', 'bad', 'throw'] as const
const headerCodec = struct({ parent: bytes(32), root: bytes(32), time: u53, nonce: u32, weight: u16, bad: u8 })
const txLayout = struct({ kind: u8, key: text(64), value: text(65_000), salt: u32 })
const utf8 = new TextEncoder()

/** Rules for tests: the cheapest chain that has work, state, and every way of being refused. */
export function testRules(options: TestRulesOptions = {}): Rules<TestHeader, TestTx> {
  const wait = (check: Check | Promise<Check>): Check | Promise<Check> =>
    options.slow ? Promise.resolve(check) : check
  const { tie, forks, limits, lookback, params, minimumWork, checkpoints } = options
  return {
    network: options.network ?? 'test',
    ...(params && { params }),
    ...(tie && { tie }),
    ...(forks && { forks }),
    ...(minimumWork && { minimumWork }),
    ...(checkpoints && { checkpoints }),
    ...(limits && { limits }),
    ...(lookback && { lookback }),
    genesis: { header: { time: options.genesisTime ?? 1_700_000_000_000, nonce: 0, weight: 1, bad: 0 } },
    header: headerCodec,
    tx: {
      encode: ({ kind, ...rest }) => txLayout.encode({ kind: KINDS.indexOf(kind), ...rest }),
      decode: (encoded) => {
        const { kind, ...rest } = txLayout.decode(encoded)
        const name = KINDS[kind]
        if (name == null) throw new RangeError(`kind ${kind}`)
        return { kind: name, ...rest }
      }
    },
    work: (header) => BigInt(header.weight),
    checkHeader: (header) => header.bad !== 1 || { reject: 'marked bad' },
    checkTx: (tx) => tx.kind !== 'bad' || { reject: 'marked bad' },
    state: {
      version: options.stateVersion ?? 1,
      genesis(db) {
        for (const [key, value] of Object.entries(options.state ?? {})) db.put(utf8.encode(key), utf8.encode(value))
      },
      applyTx: (tx, _ctx, db) => wait(applyTx(tx, db))
    }
  }
}

function applyTx(tx: TestTx, db: StateDb): Check | Promise<Check> {
  const key = utf8.encode(tx.key)
  if (tx.kind === 'throw') throw new Error('a rule that throws')
  if (tx.kind === 'del') db.del(key)
  else if (tx.kind !== 'once') db.put(key, utf8.encode(tx.value))
  else {
    const found = db.get(key)
    const decide = (value: Uint8Array | undefined): Check => {
      if (value != null) return { reject: `${tx.key} exists` }
      db.put(key, utf8.encode(tx.value))
      return true
    }
    return found instanceof Promise ? found.then(decide) : decide(found)
  }
  return tx.kind !== 'fail' || { reject: 'marked to fail' }
}

export interface TestBlockOptions {
  txs?: TestTx[]
  /** @default 1 */
  weight?: number
  /** @default a second after the parent */
  time?: number
  nonce?: number
  /** `checkHeader` will refuse it. */
  bad?: boolean
  /** The header commits to other transactions. */
  badRoot?: boolean
}

export interface TestBlock {
  bytes: Uint8Array
  headerBytes: Uint8Array
  hash: Uint8Array
  header: TestHeader
  /** Where it stands, to build the next one on. */
  located: Located<TestHeader>
}

/** Builds a block on any parent; no chain is needed. */
export function buildBlock(
  rules: Rules<TestHeader, TestTx>,
  parent: Located<TestHeader>,
  options: TestBlockOptions = {}
): TestBlock {
  const txs = (options.txs ?? []).map((tx) => rules.tx.encode(tx))
  const header: TestHeader = {
    parent: parent.hash,
    root: options.badRoot ? sha256(utf8.encode('other transactions')) : merkleRoot(txs.map(txId)),
    time: options.time ?? parent.header.time + 1_000,
    nonce: options.nonce ?? 0,
    weight: options.weight ?? 1,
    bad: options.bad ? 1 : 0
  }
  const headerBytes = rules.header.encode(header)
  const hash = rules.hash?.(headerBytes) ?? sha256(headerBytes)
  const located = { hash, height: parent.height + 1, work: parent.work + BigInt(header.weight), header }
  return { bytes: encodeBlock(headerBytes, txs), headerBytes, hash, header, located }
}

/** Builds `n` blocks on `parent`, each on the one before. */
export function buildChain(
  rules: Rules<TestHeader, TestTx>,
  parent: Located<TestHeader>,
  n: number,
  options: (i: number) => TestBlockOptions = () => ({})
): TestBlock[] {
  const blocks: TestBlock[] = []
  for (let i = 0; i < n; i++) blocks.push(buildBlock(rules, blocks.at(-1)?.located ?? parent, options(i)))
  return blocks
}

/** Adds `n` blocks on a chain's head, and answers where they stand. */
export async function growChain(
  chain: Chain<TestHeader, TestTx>,
  n: number,
  options: TestBlockOptions = {}
): Promise<Located<TestHeader>[]> {
  const blocks = buildChain(chain.rules, chain.head, n, () => options)
  const { verdict } = await chain.addBlocks(blocks.map((block) => block.bytes))
  if (verdict.result !== 'accept')
    throw new Error(`growChain: ${verdict.result} ${verdict.reason} ${verdict.detail ?? ''}`)
  return blocks.map((block) => block.located)
}
