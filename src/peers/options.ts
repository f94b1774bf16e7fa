import type { IpNet } from '@chainsafe/netmask'
import { ConfigError } from '../errors.js'
import type { PeersInit } from './index.js'
import { parsePrefix } from './ip.js'
import { parseSeeds, type Seed } from './seeds.js'

/** `PeersInit`, checked, with its defaults. */
export interface Settings {
  seeds: Seed[]
  target: number
  maxInbound: number
  rules: { allow: IpNet[]; deny: IpNet[] }
  ping: { idleMs: number; timeoutMs: number; misses: number }
}

const TARGET = 8
const MAX_INBOUND = { full: 32, light: 32, seed: 256 } as const
const NETWORK = /^[a-z0-9-]{1,41}$/

/** Throws ConfigError naming the option that cannot work. */
export function settle(init: PeersInit): Settings {
  for (const name of ['seeds', 'allow', 'deny'] as const) {
    if (init[name] != null && !Array.isArray(init[name]))
      throw new ConfigError(name, 'is not a list', { fix: `write ${name}: ['…']` })
  }
  if (init.ping === null) throw new ConfigError('ping', 'is null', { fix: 'leave it out, or give an object' })
  const { target = TARGET, maxInbound = MAX_INBOUND[init.role ?? 'full'], ping = {} } = init
  for (const [name, value] of Object.entries({ target, maxInbound })) number(name, value, 0, 10_000, 'peers')
  const { idleMs = 10_000, timeoutMs = 5000, misses = 3 } = ping
  for (const [name, value] of Object.entries({ idleMs, timeoutMs })) number(`ping.${name}`, value, 1, 86_400_000, 'ms')
  number('ping.misses', misses, 1, 1000, 'pings')
  if (init.network != null && !(typeof init.network === 'string' && NETWORK.test(init.network))) {
    throw new ConfigError('network', `'${init.network}' does not match ${NETWORK.source}`, {
      fix: 'choose a name of small letters, digits and hyphens; all nodes have the same'
    })
  }
  const prefixes = (name: 'allow' | 'deny'): IpNet[] =>
    (init[name] ?? []).map((text, i) => prefix(`${name}[${i}]`, text))
  return {
    ...{ seeds: parseSeeds(init.seeds ?? []), target, maxInbound },
    ...{ rules: { allow: prefixes('allow'), deny: prefixes('deny') }, ping: { idleMs, timeoutMs, misses } }
  }
}

function number(option: string, value: number, least: number, most: number, unit: string): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new ConfigError(option, `${value} is not a number of ${unit}`, {
    fix: `give an integer from ${least} to ${most}`
  })
}

function prefix(option: string, text: string): IpNet {
  try {
    return parsePrefix(String(text))
  } catch (cause) {
    throw new ConfigError(option, cause instanceof Error ? cause.message : String(cause), {
      fix: 'write it like 203.0.113.0/24, 203.0.113.7 or 2001:db8::/32',
      cause
    })
  }
}
