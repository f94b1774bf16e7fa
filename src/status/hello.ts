import { MalformedError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { Head, Hello } from '../pb/status.js'
import { compareForkId, type ForkId, forkId } from './fork-id.js'
import { cleanText } from './goodbye.js'

/** What a peer does: `full` serves blocks, `light` keeps and serves headers only, `seed` only introduces peers. */
export type Role = 'full' | 'light' | 'seed'

/** The head that a peer says it has. Nothing of it is proven. */
export interface PeerHead {
  hash: Uint8Array
  height: number
  /** Of this block and all before it. */
  work: bigint
}

/** What `status` needs of a chain. `Chain` of `blockwire/chain` is one; an app may bring its own. */
export interface StatusChain {
  readonly network: string
  readonly params: Readonly<Record<string, string | number>>
  readonly genesis: { readonly hash: Uint8Array }
  /** Heights at which the rules changed, ascending. */
  readonly forks: readonly number[]
  readonly head: Readonly<PeerHead>
  /** It knows which block holds a transaction, and tells others that they may ask. @default false */
  readonly txIndex?: boolean
}

/** A hello that was read and found well-formed. */
export interface Greeting {
  version: number
  network: string
  genesis: Uint8Array
  fork: ForkId
  params: Record<string, string>
  role: Role
  lowest: number
  head: PeerHead | undefined
  txIndex: boolean
}

/** The first thing in which two chains differ. */
export interface Difference {
  code: 'network' | 'genesis' | 'fork'
  /** `network`, `genesis`, `params.<name>` or `fork`. */
  field: string
  ours: string
  theirs: string
}

const ROLES: readonly Role[] = ['full', 'light', 'seed']
const VERSION = 1
/** Bits of `Hello.features`. Those of later versions are ignored. */
const TX_INDEX = 1
const MAX_PARAMS = 16
const MAX_PARAM_BYTES = 1_024

export function helloOf(chain: StatusChain, role: Role, lowest: number): Hello {
  const fork = forkId(chain.genesis.hash, chain.forks, chain.head.height)
  return {
    version: VERSION,
    network: chain.network,
    genesis: chain.genesis.hash as Uint8Array<ArrayBuffer>,
    forkHash: fork.hash as Uint8Array<ArrayBuffer>,
    forkNext: fork.next,
    params: Object.entries(paramsOf(chain)).map(([name, value]) => ({ name, value })),
    role: ROLES.indexOf(role),
    lowest,
    features: role === 'full' && chain.txIndex === true ? TX_INDEX : 0,
    ...(role === 'seed' ? {} : { head: headMessage(chain.head) })
  }
}

/** @throws MalformedError */
export function readHello(hello: Hello): Greeting {
  if (!/^[a-z0-9-]{1,32}$/.test(hello.network)) throw new MalformedError('hello: network')
  if (hello.genesis.byteLength !== 32) throw new MalformedError('hello: genesis is not 32 bytes')
  if (hello.forkHash.byteLength !== 4) throw new MalformedError('hello: fork_hash is not 4 bytes')
  const size = (text: string): number => new TextEncoder().encode(text).byteLength
  const bytes = hello.params.reduce((sum, { name, value }) => sum + size(name) + size(value), 0)
  if (hello.params.length > MAX_PARAMS || bytes > MAX_PARAM_BYTES)
    throw new MalformedError('hello: params over their limit')
  return {
    version: hello.version,
    network: hello.network,
    // copies: these live as long as the peer is here, and would keep the whole frame
    genesis: hello.genesis.slice(),
    fork: { hash: hello.forkHash.slice(), next: hello.forkNext },
    params: Object.fromEntries(
      hello.params.map(({ name, value }) => [cleanText(name), cleanText(value, MAX_PARAM_BYTES)])
    ),
    // A role of a later version serves nothing that we know of.
    role: ROLES[hello.role] ?? 'light',
    lowest: hello.lowest,
    head: hello.head == null ? undefined : readHead(hello.head),
    txIndex: (hello.features & TX_INDEX) !== 0
  }
}

/** @throws MalformedError */
export function readHead(head: Head): PeerHead {
  if (head.hash.byteLength !== 32) throw new MalformedError('head: hash is not 32 bytes')
  if (head.work.byteLength > 32 || head.work[0] === 0) throw new MalformedError('head: work')
  return { hash: head.hash.slice(), height: head.height, work: BigInt(`0x0${toHex(head.work)}`) }
}

export function headMessage(head: Readonly<PeerHead>): Head {
  const hex = head.work.toString(16)
  const even = hex.length % 2 === 0 ? hex : `0${hex}`
  const work =
    head.work === 0n ? new Uint8Array() : Uint8Array.from(even.match(/../g)!, (byte) => Number.parseInt(byte, 16))
  return { hash: head.hash as Uint8Array<ArrayBuffer>, height: head.height, work }
}

/** Whether a peer follows our chain: network, then genesis (by the param that differs, if one does), then fork. Pure. */
export function difference(chain: StatusChain, theirs: Greeting): Difference | undefined {
  if (theirs.network !== chain.network) {
    return { code: 'network', field: 'network', ours: chain.network, theirs: theirs.network }
  }
  if (!equalBytes(theirs.genesis, chain.genesis.hash)) {
    return (
      differentParam(paramsOf(chain), theirs.params) ?? {
        code: 'genesis',
        field: 'genesis',
        ours: toHex(chain.genesis.hash),
        theirs: toHex(theirs.genesis)
      }
    )
  }
  if (compareForkId(chain.genesis.hash, chain.forks, chain.head.height, theirs.fork) != null) {
    const ours = forkId(chain.genesis.hash, chain.forks, chain.head.height)
    return { code: 'fork', field: 'fork', ours: forkText(ours), theirs: forkText(theirs.fork) }
  }
  return undefined
}

/** A fork id as people read it. */
export function forkText(fork: ForkId): string {
  return `${toHex(fork.hash)}, next ${fork.next === 0 ? 'none' : fork.next}`
}

/** All of ours that a comparison rests on and that may change while we run, as one text. */
export function valuesText({ network, genesis, forks, head }: StatusChain): string {
  return `${network} ${toHex(genesis.hash)} ${forkText(forkId(genesis.hash, forks, head.height))}`
}

/** Values as they are hashed into the genesis: strings in JSON quotes, numbers as JavaScript prints them. By name. */
function paramsOf(chain: StatusChain): Record<string, string> {
  const names = Object.keys(chain.params).sort()
  return Object.fromEntries(names.map((name) => [name, JSON.stringify(chain.params[name])]))
}

function differentParam(ours: Record<string, string>, theirs: Record<string, string>): Difference | undefined {
  const shown = (value: string | undefined): string => (value == null ? 'none' : cleanText(value))
  const [mine, other] = [new Map(Object.entries(ours)), new Map(Object.entries(theirs))]
  for (const name of [...new Set([...mine.keys(), ...other.keys()])].sort()) {
    const [a, b] = [mine.get(name), other.get(name)]
    if (a !== b) return { code: 'genesis', field: cleanText(`params.${name}`), ours: shown(a), theirs: shown(b) }
  }
  return undefined
}
