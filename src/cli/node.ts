import type { Report } from '../../examples/mining-node/event.js'
import { type MiningNode, NETWORK, startMiningNode } from '../../examples/mining-node/index.js'
import { type Output, openOutput } from '../../examples/mining-node/output.js'
import { toHex } from '../hex.js'
import { debugKey } from './debug-key.js'
import { failureLines, failureOf } from './failure.js'
import { HumanScreen } from './human.js'
import { invocation } from './invocation.js'
import { jsonLine } from './json.js'
import type { NodeOptions } from './node-command.js'
import { DEFAULT_PORT, listenAddress } from './option.js'
import { startOnPort } from './port.js'
import { DEBUG_IDENTITY, type Welcome } from './screen.js'
import { stopRequest } from './stop.js'

/** Time for a clean end; after it the process ends anyway, which the store survives. */
const STOP_MS = 1_700

/** Runs `blockwire node` until it is told to stop. Resolves with the exit code. `command` is what was called, for its errors. */
export async function runNode(options: NodeOptions, version: string, command = 'blockwire node'): Promise<number> {
  const stop = stopRequest()
  const output = openOutput(stop.now)
  const warn = (line: string): void => console.error(line)
  const human = options.json ? undefined : new HumanScreen(output, warn)
  const report = human?.report ?? reportJson(output)
  let running: MiningNode | undefined
  try {
    const started = await Promise.race([start(options, report), stop.asked])
    // stopped before it stood: there is nothing to say goodbye to
    if (started == null) return 0
    const { port } = started
    running = started.running
    stop.onMessage((text) => {
      if (text === 'stop mining') running?.mine(false)
      if (text === 'mine') running?.mine(true)
    })
    const movedTo = options.port == null && port !== DEFAULT_PORT ? port : undefined
    human?.welcome(welcomeOf(options, running, { version, movedTo, readyMs: performance.now() }), running)
    if (options.json && movedTo != null) warn(`port ${DEFAULT_PORT} is taken, using ${movedTo}`)
    if (options.json && options.debugIdentity) warn(`warning ${DEBUG_IDENTITY}`)
    await stop.asked
    human?.stop()
    await human?.conclude(running)
    await end(running, report)
    return 0
  } catch (err) {
    const failure = failureOf(err)
    if (options.json) report({ event: 'error', code: failure.code, message: failure.message, fix: failure.fix })
    const tall = human != null && process.stderr.isTTY === true
    for (const line of failureLines(failure, command, tall)) warn(line)
    return failure.exit
  } finally {
    human?.stop()
    await output.end()
  }
}

/** Starts on the port asked for, or on the first free one from the default on. */
function start(options: NodeOptions, report: Report): Promise<{ running: MiningNode; port: number }> {
  const { host, port } = options
  return startOnPort({ host, asked: port, first: DEFAULT_PORT }, (free) => startOn(free, options, report))
}

async function startOn(port: number, options: NodeOptions, report: Report): Promise<MiningNode> {
  const { host, announce, seeds, data, role, mine, threads, name, maxInbound, blockTime, debugIdentity } = options
  return startMiningNode(
    {
      listen: [listenAddress(host, port)],
      announce,
      seeds,
      role,
      mine,
      ...(data == null ? {} : { dataDir: data }),
      ...(threads == null ? {} : { threads }),
      ...(name == null ? {} : { name }),
      ...(maxInbound == null ? {} : { maxInbound }),
      ...(blockTime == null ? {} : { blockTime: Math.round(blockTime * 1000) }),
      ...(debugIdentity ? { privateKey: await debugKey(port) } : {})
    },
    report
  )
}

function welcomeOf(
  options: NodeOptions,
  { node, name, address }: MiningNode,
  more: Pick<Welcome, 'version' | 'movedTo' | 'readyMs'>
): Welcome {
  const { chain, peerId, multiaddrs } = node
  return {
    ...more,
    network: NETWORK,
    genesis: toHex(chain.genesis.hash),
    role: options.role,
    name,
    wallet: address,
    peerId: peerId.toString(),
    data: options.data,
    height: chain.head.height,
    debugIdentity: options.debugIdentity,
    multiaddrs,
    program: invocation(),
    blockTime: options.blockTime
  }
}

/** Says goodbye and closes, for at most STOP_MS. */
async function end(running: MiningNode, report: Report): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, STOP_MS)
  })
  await Promise.race([running.stop().catch(() => {}), late])
  clearTimeout(timer)
  const { height, hash } = running.node.chain.head
  report({ event: 'stopped', height, hash: toHex(hash) })
}

function reportJson(output: Output): Report {
  return (event) => {
    const line = jsonLine(event)
    if (line != null) output.line(line)
  }
}
