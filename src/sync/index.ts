/**
 * @packageDocumentation
 * Brings our chain to where the network's is: headers first from the peer that claims the most work, then bodies from all that have
 * them, then one new head after the other. Serves the same to others. Decisions are made in `planner.ts`, which does no I/O; what
 * peers claim is never believed, only tried. With the role `light` it is headers alone, and single transactions with proofs. `state` says where it stands, `explain()` why.
 *
 * @example
 * ```ts
 * const node = await createLibp2p({
 *   services: { identify: identify(), chain: () => chain, status: status(), sync: sync() }
 * })
 * node.services.sync.addEventListener('state', ({ detail }) => console.log(detail.state, detail.height, 'of', detail.target))
 * ```
 */
import { type Sync, type SyncComponents, type SyncInit, SyncService } from './sync.js'

export type { Included, Light, LightQuery } from './light.js'
export type { SyncState } from './planner.js'
export type { SyncBlock, SyncChain, SyncMinimum, SyncWalk } from './port.js'
export type { SyncProgress } from './progress.js'
export type { LightReport, SyncReport, SyncRequestReport, SyncSourceReport } from './report.js'
export type { Sync, SyncComponents, SyncEvents, SyncInit } from './sync.js'
export type { SyncWatchOptions } from './watch.js'
export type { Contradiction, SyncWarning } from './witness.js'

/** The sync service. Needs `chain` and `status` beside it; reports to `peers` where there is one. */
export function sync(init: SyncInit = {}): (components: SyncComponents) => Sync {
  return (components) => new SyncService(components, init)
}
