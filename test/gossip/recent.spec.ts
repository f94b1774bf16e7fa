import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { Recent } from '../../dist/src/gossip/recent.js'

const MIB = 1_048_576

describe('blocks that were passed on', () => {
  it('are kept for 2 minutes, and leave no timer', () => {
    const clock = new HandClock()
    const recent = new Recent(clock)
    recent.add('a', new Uint8Array(10))
    clock.turn(60_000)
    recent.add('b', new Uint8Array(20))
    clock.turn(59_999)
    expect([recent.has('a'), recent.bytes]).toEqual([true, 30])
    clock.turn(1)
    expect([recent.has('a'), recent.get('b')?.length, recent.bytes]).toEqual([false, 20, 20])
    clock.turn(60_000)
    expect([recent.has('b'), recent.bytes, clock.pending]).toEqual([false, 0, 0])
  })

  it('lose their bodies over 64 MiB, the oldest first, and are known all the same', () => {
    const recent = new Recent(new HandClock())
    for (let i = 0; i < 5; i++) recent.add(`${i}`, new Uint8Array(16 * MIB))
    expect([recent.get('0'), recent.has('0'), recent.bytes]).toEqual([undefined, true, 64 * MIB])
    expect(recent.get('1')).toHaveLength(16 * MIB)
  })

  it('are 1,024 at most', () => {
    const recent = new Recent(new HandClock())
    for (let i = 0; i < 1_030; i++) recent.add(`${i}`, new Uint8Array(1))
    expect([recent.has('5'), recent.has('6'), recent.bytes]).toEqual([false, true, 1_024])
  })

  it('are gone at once when told', () => {
    const clock = new HandClock()
    const recent = new Recent(clock)
    recent.add('a', new Uint8Array(10))
    recent.clear()
    expect([recent.has('a'), recent.bytes, clock.pending]).toEqual([false, 0, 0])
  })
})
