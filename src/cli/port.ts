import { createServer } from 'node:net'
import { PortTakenError } from '../errors.js'
import { DEFAULT_PORT } from './option.js'

/** How many ports after the first are tried. */
const TRIES = 100

/** Can we listen there? Asks the system by listening for a moment. Other errors than "taken" are thrown. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (err: NodeJS.ErrnoException) => {
      if (err.code === 'EADDRINUSE') resolve(false)
      else reject(err)
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
 * The port to listen on: the one asked for, or the default or the next free one after it.
 *
 * @throws PortTakenError when the one asked for is taken; it names the next free one
 */
export async function choosePort(host: string, asked: number | undefined, free = isFree): Promise<number> {
  if (asked === 0) return 0
  const found = await freePort(host, asked ?? DEFAULT_PORT, free)
  if (found == null || (asked != null && found !== asked)) throw new PortTakenError(host, asked ?? DEFAULT_PORT, found)
  return found
}
