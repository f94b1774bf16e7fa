/** Options that several commands have, in the same words. */
import { type Command, Option } from 'commander'
import {
  DEFAULT_HOST,
  parseAnnounce,
  parseBlockTime,
  parseData,
  parseHost,
  parseKey,
  parsePort,
  parseSeeds
} from './option.js'

export function portOption(first: number): Option {
  return new Option(
    '-p, --port <number>',
    `TCP port to listen on, 0: any (default ${first}, or the next free one)`
  ).argParser(parsePort)
}

export function hostOption(): Option {
  return new Option('--host <address>', 'IP address to listen on').argParser(parseHost).default(DEFAULT_HOST)
}

export function announceOption(): Option {
  const what = 'address to give to others, e.g. of your router; may be repeated'
  return new Option('--announce <multiaddr>', what).argParser(parseAnnounce)
}

export function seedOption(what: string): Option {
  const how = 'ending in /p2p/<peer ID>; may be repeated or comma-separated'
  return new Option('--seed <multiaddr>', `${what}, ${how}`).argParser(parseSeeds)
}

export function dataOption(keeps: string): Option {
  return new Option('--data <directory>', `keep ${keeps} there (default: in memory)`).argParser(parseData)
}

export function blockTimeOption(): Option {
  const what = 'time between blocks; all nodes of a chain need the same'
  return new Option('--block-time <seconds>', what).argParser(parseBlockTime)
}

/** In the working directory. */
export const DEFAULT_KEY = 'wallet.key'

export function keyOption(): Option {
  const what = "file with the secret key; a node's reward.key is one, too"
  return new Option('--key <file>', what).argParser(parseKey).default(DEFAULT_KEY)
}

/** What every command ends with. */
export function addLast(
  command: Command,
  version: string,
  json = 'write events to stdout, one JSON object a line'
): Command {
  return command
    .option('--debug-identity', 'identity made from the port, known to everyone: for tests only', false)
    .option('--json', json, false)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
}
