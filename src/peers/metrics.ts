import type { CounterGroup, Metrics } from '@libp2p/interface'

export interface MetricsInit {
  members(): Record<'inbound' | 'outbound', number>
  book(): Record<'new' | 'tried', number>
  bans(): number
}

/** Why a peer was sent away. */
export type PartingCause = 'evicted' | 'replaced' | 'surplus' | 'silent' | 'fault'

/** What an operator watches, through libp2p's `metrics`; nothing happens without it. Registered once for the life of the service. */
export class PeerMetrics {
  readonly #dials: CounterGroup | undefined
  readonly #faults: CounterGroup | undefined
  readonly #partings: CounterGroup | undefined

  constructor(metrics: Metrics | undefined, { members, book, bans }: MetricsInit) {
    const gauge = (name: string, help: string, label: string, calculate: () => Record<string, number>): void =>
      metrics?.registerMetricGroup(`blockwire_peers_${name}`, { help, label, calculate })
    const counter = (name: string, help: string, label: string): CounterGroup | undefined =>
      metrics?.registerCounterGroup(`blockwire_peers_${name}`, { help, label })
    gauge('joined', 'Peers that belong to the network', 'direction', members)
    gauge('book', 'Peers in the address book', 'table', book)
    metrics?.registerMetric('blockwire_peers_bans', { help: 'Bans in force', calculate: bans })
    this.#dials = counter('dials_total', 'Dials that ended', 'result')
    this.#faults = counter('faults_total', 'Faults charged to peers', 'class')
    this.#partings = counter('partings_total', 'Peers that were sent away', 'why')
  }

  dialled(ok: boolean): void {
    this.#dials?.increment({ [ok ? 'ok' : 'failed']: 1 })
  }

  charged(fault: string): void {
    this.#faults?.increment({ [fault]: 1 })
  }

  parted(why: PartingCause): void {
    this.#partings?.increment({ [why]: 1 })
  }
}
