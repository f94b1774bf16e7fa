import { runNode } from './node.js'
import type { SeedOptions } from './seed-command.js'

/** Runs `blockwire seed` until it is told to stop: a node without a chain. Resolves with the exit code. */
export function runSeed(options: SeedOptions, version: string): Promise<number> {
  const seed = { ...options, role: 'seed', mine: false, threads: undefined, name: undefined } as const
  return runNode(seed, version, 'blockwire seed')
}
