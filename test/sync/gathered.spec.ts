import { describe, expect, it } from 'vitest'
import { gathered } from '../../dist/src/sync/gathered.js'

/** An answer whose pages are pushed by hand. */
function answer() {
  const pages: number[][] = []
  let wake = (): void => {}
  let end: { err?: Error } | undefined
  let left = false
  const source = (async function* () {
    try {
      for (;;) {
        if (pages.length > 0) yield pages.shift()!
        else if (end?.err != null) throw end.err
        else if (end != null) return
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      left = true
    }
  })()
  return {
    source,
    push: (...page: number[]) => {
      pages.push(page)
      wake()
    },
    end: (err?: Error) => {
      end = err == null ? {} : { err }
      wake()
    },
    left: () => left
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('gathered', () => {
  it('gives all that came while the last page was worked on, in order', async () => {
    const from = answer()
    const pages = gathered(from.source)
    from.push(1, 2)
    expect((await pages.next()).value).toEqual([1, 2])
    from.push(3)
    await settle()
    from.push(4, 5)
    await settle()
    expect((await pages.next()).value).toEqual([3, 4, 5])
    from.end()
    expect((await pages.next()).done).toBe(true)
  })

  it('gives what came before an error, then the error', async () => {
    const from = answer()
    const pages = gathered(from.source)
    from.push(1)
    from.end(new Error('cut'))
    await settle()
    expect((await pages.next()).value).toEqual([1])
    await expect(pages.next()).rejects.toThrow('cut')
  })

  it('ends the answer when it is left early', async () => {
    const from = answer()
    from.push(1)
    for await (const page of gathered(from.source)) {
      expect(page).toEqual([1])
      break
    }
    from.push(2)
    await settle()
    expect(from.left()).toBe(true)
  })
})
