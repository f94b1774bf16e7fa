import type { ComponentLogger, Logger } from '@libp2p/interface'
import { enabled, logger } from '@libp2p/logger'

/**
 * libp2p's logger, which makes its loggers only when something is to be logged: with `DEBUG` set, or after `enable()` of `@libp2p/logger`.
 * libp2p asks for several with each connection and stream, whether anybody reads them or not. Measured: 16 KB of 96 that an idle peer
 * costs, and a part of the time that each new stream takes.
 */
export function quietLogger(): ComponentLogger {
  return { forComponent: quiet }
}

/** A logger that knows its name and nothing else. */
interface Quiet extends Logger {
  scope: string
  /** libp2p's own, once it was wanted. */
  loud: Logger | undefined
}

const SCOPE = Object.create(Function.prototype, {
  enabled: {
    get(this: Quiet) {
      return enabled(this.scope)
    }
  },
  error: {
    value(this: Quiet, formatter: unknown, ...args: unknown[]) {
      if (enabled(`${this.scope}:error`)) loud(this).error(formatter, ...args)
    }
  },
  trace: {
    value(this: Quiet, formatter: unknown, ...args: unknown[]) {
      if (enabled(`${this.scope}:trace`)) loud(this).trace(formatter, ...args)
    }
  },
  newScope: {
    value(this: Quiet, name: string) {
      return quiet(`${this.scope}:${name}`)
    }
  }
})

function quiet(scope: string): Logger {
  const log = ((formatter: unknown, ...args: unknown[]) => {
    if (enabled(log.scope)) loud(log)(formatter, ...args)
  }) as Quiet
  Object.setPrototypeOf(log, SCOPE)
  log.scope = scope
  return log
}

function loud(log: Quiet): Logger {
  log.loud ??= logger(log.scope)
  return log.loud
}
