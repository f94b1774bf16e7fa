/** How this process is told to stop. */
export interface StopRequest {
  /** Resolves at the first request. */
  readonly asked: Promise<void>
  /** Asks from inside, e.g. because nobody reads our output. */
  now(): void
  /** Hears what a parent process sends over its IPC channel; `stop` is handled here. */
  onMessage(listener: (text: string) => void): void
}

/**
 * SIGINT, SIGTERM, the message `stop` from a parent, or the end of a parent that has an IPC channel to us. A second signal ends the
 * process at once: what the store has written is whole.
 */
export function stopRequest(): StopRequest {
  let signals = 0
  let resolve: () => void = () => {}
  const asked = new Promise<void>((done) => {
    resolve = done
  })
  const onSignal = (): void => {
    signals++
    if (signals > 1) process.exit(0)
    resolve()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  if (process.send != null) {
    process.on('disconnect', resolve)
    process.on('message', (message) => {
      if (message === 'stop') resolve()
    })
  }
  return {
    asked,
    now: resolve,
    onMessage(listener) {
      if (process.send == null) return
      process.on('message', (message) => {
        if (typeof message === 'string') listener(message)
      })
    }
  }
}
