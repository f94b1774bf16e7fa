import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { SeedReport } from 'blockwire/peers'
import { expect, test } from 'vitest'
import { freePort } from '../helpers/port.js'
import { addressOf, idOf, makeHost, until } from './hosts.js'

function watch(host: Awaited<ReturnType<typeof makeHost>>): SeedReport[] {
  const reports: SeedReport[] = []
  host.services.peers.addEventListener('seed', ({ detail }) => reports.push(detail))
  return reports
}

test('a seed that starts later is found, lost when it is killed, and found again when it is back', async () => {
  const key = await generateKeyPair('Ed25519')
  const listen = `/ip4/127.0.0.1/tcp/${await freePort()}`
  const address = `${listen}/p2p/${peerIdFromPrivateKey(key)}`
  const host = await makeHost({ seeds: [address] })
  const reports = watch(host)
  await until('two failed attempts', () => reports.filter(({ state }) => state === 'failed').length >= 2)
  const failed = reports.find(({ state }) => state === 'failed')
  expect(failed).toMatchObject({ address, error: expect.stringContaining('ECONNREFUSED') })
  expect(failed?.nextMs).toBeLessThanOrEqual(10_000)

  for (let life = 0; life < 2; life++) {
    const seed = await makeHost({ listen, key })
    await until(
      () => `the seed in life ${life}: ${JSON.stringify(reports.at(-1))}`,
      () => host.services.peers.connected.has(idOf(seed))
    )
    expect(host.services.peers.connected.get(idOf(seed))?.direction).toBe('outbound')
    expect(reports.at(-1)).toEqual({ address, state: 'connected' })
    await seed.stop()
    await until('the loss of the seed', () => host.services.peers.connected.size === 0)
    await until('a report that it waits', () => reports.some(({ state }) => state === 'waiting'))
  }
})

test('an app hears of it when a peer joins and leaves, with the reason', async () => {
  const seed = await makeHost()
  const told: unknown[] = []
  const host = await makeHost({ seeds: [addressOf(seed)] })
  host.services.peers.addEventListener('join', ({ detail }) =>
    told.push(['join', detail.peer.toString(), detail.direction])
  )
  host.services.peers.addEventListener('leave', ({ detail }) =>
    told.push(['leave', detail.peer.toString(), detail.reason])
  )
  await until('both to join', () => told.length === 1 && seed.services.peers.connected.has(idOf(host)))
  expect(seed.services.peers.connected.get(idOf(host))?.direction).toBe('inbound')
  await host.services.peers.disconnect(seed.peerId, 8, 'not needed')
  expect(told).toEqual([
    ['join', idOf(seed), 'outbound'],
    ['leave', idOf(seed), 'not needed']
  ])
  await until('the other end to notice', () => seed.services.peers.connected.size === 0)
})

test("a node's own address among its seeds is skipped", async () => {
  const key = await generateKeyPair('Ed25519')
  const listen = `/ip4/127.0.0.1/tcp/${await freePort()}`
  const other = await makeHost()
  const host = await makeHost({ listen, key, seeds: [`${listen}/p2p/${peerIdFromPrivateKey(key)}`, addressOf(other)] })
  await until('the other seed', () => host.services.peers.connected.has(idOf(other)))
  expect(host.services.peers.explain().map(({ peer }) => peer)).toEqual([idOf(other)])
})

test('explain() says of every peer how it stands and what comes next', async () => {
  const port = await freePort()
  const absent = `/ip4/127.0.0.1/tcp/${port}/p2p/${peerIdFromPrivateKey(await generateKeyPair('Ed25519'))}`
  const other = await makeHost()
  const host = await makeHost({ seeds: [absent, addressOf(other)] })
  await until('one to join and one to fail', () => {
    const states = host.services.peers.explain()
    return states.some(({ state }) => state === 'joined') && states.some(({ error }) => error != null)
  })
  const report = host.services.peers.explain()
  expect(report).toHaveLength(2)
  expect(report.find(({ peer }) => peer === idOf(other))).toMatchObject({
    state: 'joined',
    seed: true,
    direction: 'outbound',
    next: { action: 'ping' }
  })
  expect(report.find(({ peer }) => absent.endsWith(peer))).toMatchObject({
    seed: true,
    error: expect.stringContaining('ECONNREFUSED')
  })
})
