import { multiaddr } from '@multiformats/multiaddr'

/** Where an address can be dialled from. */
export type Reach = 'this computer' | 'other computers'

/** The addresses that someone can dial: no unspecified host, no port 0, no link-local one (it needs a zone). Loopback first. */
export function dialable(addresses: string[]): { address: string; reach: Reach }[] {
  const found = addresses.flatMap((address) => {
    const parts = multiaddr(address).getComponents()
    const host = parts[0]?.value ?? ''
    const port = parts.find(({ name }) => name === 'tcp' || name === 'udp')?.value
    if (host === '0.0.0.0' || /^(0*:)+0*$/.test(host) || port === '0') return []
    if (/^fe[89ab]/i.test(host) || host.startsWith('169.254.')) return []
    const loopback = host.startsWith('127.') || host === '::1' || host === 'localhost'
    return [{ address, reach: loopback ? ('this computer' as const) : ('other computers' as const) }]
  })
  return [
    ...found.filter(({ reach }) => reach === 'this computer'),
    ...found.filter(({ reach }) => reach !== 'this computer')
  ]
}
