import { createServer } from 'node:net'
import { ConfigError, PortTakenError } from '../errors.js'
import { DEFAULT_PORT } from './option.js'

/** How often a port may be taken between looking and listening. */
const MAX_RACES = 5

/** How many ports after the first are tried. */
const TRIES = 100

/**
 * Can we listen there? Asks the system by listening for a moment.
 *
 * @throws ConfigError when that cannot work with any port, or not with our rights
 */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (err: NodeJS.ErrnoException) => {
      if (err.code === 'EADDRINUSE') resolve(false)
      else reject(cannotListen(host, port, err))
    })
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** The first free port at or after `from`, or undefined. */
export async function freePort(host: string, from: number, free = isFree): Promise<number | undefined> {
  for (let port = from; port <= Math.min(65_535, from + TRIES); port++) {
    if (await free(host, port)) return port
  }
  return undefined
}

/**
 * The port to listen on: the one asked for, or `first` or the next free one after it.
 *
 * @throws PortTakenError when the one asked for is taken; it names the next free one
 */
export async function choosePort(
  host: string,
  asked: number | undefined,
  free = isFree,
  first = DEFAULT_PORT
): Promise<number> {
  if (asked === 0) {
    await free(host, 0)
    return 0
  }
  const found = await freePort(host, asked ?? first, free)
  if (found == null || (asked != null && found !== asked)) throw new PortTakenError(host, asked ?? first, found)
  return found
}

/**
 * Starts what listens, on the port that `choosePort` gives.
 *
 * @throws PortTakenError, and what `start` throws
 */
export async function startOnPort<T>(
  { host, asked, first }: { host: string; asked: number | undefined; first: number },
  start: (port: number) => Promise<T>
): Promise<{ running: T; port: number }> {
  for (let tries = 1; ; tries++) {
    const port = await choosePort(host, asked, isFree, first)
    try {
      return { running: await start(port), port }
    } catch (err) {
      if (!isTaken(err)) throw err
      // somebody was faster
      if (asked == null && tries < MAX_RACES) continue
      throw new PortTakenError(host, port, await freePort(host, port + 1))
    }
  }
}

/** Did a node fail to start because somebody took the port after we had looked? libp2p says so in its text only. */
function isTaken(err: unknown): boolean {
  return err instanceof Error && (err.name === 'PortTakenError' || err.message.includes('EADDRINUSE'))
}

function cannotListen(host: string, port: number, err: NodeJS.ErrnoException): ConfigError {
  if (err.code === 'EACCES') {
    return new ConfigError('--port', `this user may not listen on port ${port}`, {
      fix: 'choose one above 1023',
      cause: err
    })
  }
  const why =
    err.code === 'EADDRNOTAVAIL' ? 'is not an address of this computer' : `cannot be listened on: ${err.message}`
  return new ConfigError('--host', `${host} ${why}`, { fix: 'use 0.0.0.0 for all of its addresses', cause: err })
}
