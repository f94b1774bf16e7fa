import { getEventListeners } from 'node:events'
import type { SyncProgress } from 'blockwire/sync'
import { TypedEventEmitter } from 'main-event'
import { describe, expect, it } from 'vitest'
import { type SyncWatchOptions, Watch } from '../../dist/src/sync/watch.js'

/** What tells progress, and who listens. */
class Source extends TypedEventEmitter<{ progress: CustomEvent<SyncProgress> }> {
  progress: SyncProgress = at('bodies', 0)

  tell(progress: SyncProgress): void {
    this.progress = progress
    this.safeDispatchEvent('progress', { detail: progress })
  }

  get listeners(): number {
    return this.listenerCount('progress')
  }
}

function at(state: SyncProgress['state'], height: number): SyncProgress {
  return { state, height, target: 100, claimed: 100, peers: 1, blocksPerSecond: 0, headersPerSecond: 0 }
}

const watch = (source: Source, options: SyncWatchOptions = {}) => new Watch(source, options)

async function heights(iterator: AsyncIterable<SyncProgress>): Promise<number[]> {
  const all: number[] = []
  for await (const { height } of iterator) all.push(height)
  return all
}

describe('watching the progress', () => {
  it('gives the present at once, then each change', async () => {
    const source = new Source()
    const seen: number[] = []
    for await (const { height } of watch(source)) {
      seen.push(height)
      if (height === 3) break
      queueMicrotask(() => source.tell(at('bodies', height + 1)))
    }
    expect(seen).toEqual([0, 1, 2, 3])
    expect(source.listeners).toBe(0)
  })

  it('gives the newest only to who is slow', async () => {
    const source = new Source()
    const iterator = watch(source)
    expect((await iterator.next()).value).toMatchObject({ height: 0 })
    for (let height = 1; height <= 1_000; height++) source.tell(at('bodies', height))
    expect((await iterator.next()).value).toMatchObject({ height: 1_000 })
    const next = iterator.next()
    source.tell(at('bodies', 1_001))
    expect((await next).value).toMatchObject({ height: 1_001 })
    await iterator.return()
  })

  it('ends when sync stops, with that as the last word, and at once where it does not run', async () => {
    const source = new Source()
    const all = heights(watch(source))
    source.tell(at('live', 5))
    await Promise.resolve()
    source.tell(at('idle', 6))
    expect((await all).at(-1)).toBe(6)
    expect(source.listeners).toBe(0)
    expect(await heights(watch(source))).toEqual([6])
    expect(source.listeners).toBe(0)
  })

  it('ends at live, where that is asked for', async () => {
    const source = new Source()
    const iterator = watch(source, { until: 'live' })
    await iterator.next()
    const live = iterator.next()
    source.tell(at('live', 7))
    expect(await live).toEqual({ done: false, value: at('live', 7) })
    expect(source.listeners).toBe(0)
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(await heights(watch(source, { until: 'live' }))).toEqual([7])
  })

  it('throws the reason of its signal, whenever that aborts, and leaves nothing behind', async () => {
    const source = new Source()
    await expect(watch(source, { signal: AbortSignal.abort(new Error('before')) }).next()).rejects.toThrow('before')
    const abort = new AbortController()
    const iterator = watch(source, { signal: abort.signal })
    await iterator.next()
    const waiting = iterator.next()
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(source.listeners).toBe(0)
    const { signal } = new AbortController()
    for await (const _ of watch(source, { signal })) break
    expect([source.listeners, getEventListeners(signal, 'abort').length]).toEqual([0, 0])
  })

  it('is over when it is left, for those too who wait', async () => {
    const source = new Source()
    const iterator = watch(source)
    await iterator.next()
    const waiting = [iterator.next(), iterator.next()]
    expect(await iterator.return()).toEqual({ done: true, value: undefined })
    expect(await Promise.all(waiting)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined }
    ])
    expect(source.listeners).toBe(0)
    await expect(
      (async () => {
        for await (const progress of watch(source)) throw new Error(`thrown at ${progress.height}`)
      })()
    ).rejects.toThrow('thrown at 0')
    expect(source.listeners).toBe(0)
  })

  it('listens to nothing before the first step', async () => {
    const source = new Source()
    const iterator = watch(source)
    expect(source.listeners).toBe(0)
    await iterator.return()
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(source.listeners).toBe(0)
  })
})
