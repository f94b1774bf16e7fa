/**
 * An answer in larger pages: all that has come while the last page was worked on. What waits is bounded by the limits of the answer. Leaving
 * early ends the answer.
 */
export async function* gathered<Item>(answer: AsyncIterable<Item[]>): AsyncGenerator<Item[], void, undefined> {
  const iterator = answer[Symbol.asyncIterator]()
  let page: Item[] = []
  let ended = false
  let failure: { err: unknown } | undefined
  let wake = (): void => {}
  const read = async (): Promise<void> => {
    try {
      for (let next = await iterator.next(); !next.done && !ended; next = await iterator.next()) {
        for (const item of next.value) page.push(item)
        wake()
      }
    } catch (err) {
      failure = { err }
    } finally {
      ended = true
      wake()
    }
  }
  void read()
  try {
    for (;;) {
      if (page.length > 0) {
        const full = page
        page = []
        yield full
      } else if (ended) {
        if (failure != null) throw failure.err
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    ended = true
    iterator.return?.().catch(() => {})
  }
}
