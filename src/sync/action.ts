import type { Verdict } from '../chain/index.js'
import type { Fault } from '../errors.js'
import type { Place } from './source.js'

/** What the planner wants done. */
export type Action =
  /** `from`: the last header that this peer gave; undefined: our target. */
  | { do: 'headers'; id: number; peer: string; from: Place | undefined }
  | { do: 'bodies'; id: number; peer: string; by: 'range' | 'hashes'; places: Place[] }
  | { do: 'cancel'; id: number }
  | { do: 'import'; blocks: Uint8Array[] }
  | { do: 'park'; hash: Uint8Array }
  | { do: 'judge'; peer: string; verdict: Verdict; via: 'sync' | 'headers' }
  | { do: 'fault'; peer: string; fault: Fault; reason: string }
