/**
 * `npm start`: a seed and three miners as processes that meet over TCP, and a fourth that joins later and catches up, in one
 * terminal. With `--for SECONDS` it stops mining after that, waits until all agree, and exits 0 if they do, 1 otherwise.
 */
import { parseArgs } from 'node:util'
import type { NodeEvent } from '../mining-node/event.js'
import { lineOf } from '../mining-node/line.js'
import { openOutput } from '../mining-node/output.js'
import { prefix, resultLines, table } from './board.js'
import { Member } from './member.js'
import { sharedHead, Tally } from './tally.js'

const BLOCK_SECONDS = '2'
/** When the fourth miner joins. */
const LATE_MS = 15_000
/** How long to wait for one head after mining has stopped. */
const AGREE_MS = 30_000
/** Heads that have been equal for so long count as agreed: no block is under way any more. */
const QUIET_MS = 1_000
const USAGE = 'usage: npm start -- [--for SECONDS] [--json]'

const { seconds, json } = readArguments(process.argv.slice(2))
const stop = new AbortController()
const output = openOutput(() => stop.abort())
const members: Member[] = []
const tally = new Tally()
/** The end has begun: that peers leave is no news. */
let stopping = false

process.on('SIGINT', () => stop.abort())
process.on('SIGTERM', () => stop.abort())
process.on('exit', () => {
  for (const member of members) member.kill()
})
process.exitCode = await demo()
await output.end()
process.exit()

async function demo(): Promise<number> {
  try {
    const seed = add('seed', ['--role', 'seed'])
    const address = await seed.address
    say(`seed    listens on ${address}`)
    const miner = (name: string): Member => add(name, ['--mine', '--threads', '1', '--seed', address])
    for (const name of ['ada', 'bob', 'cho']) miner(name)
    const drawing = setInterval(draw, 250)
    const late = setTimeout(() => miner('dan'), seconds == null ? LATE_MS : Math.min(LATE_MS, seconds * 750))
    await wait(seconds == null ? undefined : seconds * 1000)
    clearTimeout(late)
    const agreed = seconds == null || stop.signal.aborted ? undefined : await agreement()
    clearInterval(drawing)
    const died = members.some(({ alive }) => !alive)
    await stopAll()
    if (agreed == null) return died ? 1 : 0
    tellResult(agreed)
    return agreed ? 0 : 1
  } catch (err) {
    console.error(`error ${err instanceof Error ? err.message : err}`)
    return 1
  } finally {
    await stopAll()
  }
}

async function stopAll(): Promise<void> {
  stopping = true
  await Promise.all(members.map((member) => member.stop()))
}

function add(name: string, args: string[]): Member {
  const common = ['--host', '127.0.0.1', '--port', '0', '--block-time', BLOCK_SECONDS]
  const member = new Member(name, [...common, ...args], onEvent, (from, line) => console.error(`${from.name}: ${line}`))
  members.push(member)
  member.ended.then((code) => {
    if (member.state === 'died') console.error(`error ${name} ended with exit code ${code}`)
  })
  return member
}

function onEvent(member: Member, event: NodeEvent): void {
  tally.note(member.name, event)
  if (json) {
    output.line(JSON.stringify({ node: member.name, ...event }))
    return
  }
  // every block comes to every node: only who mined it says so, and who joins late
  if (event.event === 'head' || event.event === 'fork') return
  if (stopping && (event.event === 'peer' || event.event === 'seed')) return
  if (event.event === 'seed' && !member.isNews(event)) return
  const line = event.event === 'sync' ? member.synced(event) : lineOf(event)
  if (line == null) return
  const place = prefix(member.name, members.indexOf(member), output.colour)
  output.line(`${place}  ${line.word.padEnd(7)} ${line.text.replace(/ {3}you$/, '')}`)
}

/** Stops mining and waits until all miners have had the same head for a while. False when a node died or time is up. */
async function agreement(): Promise<boolean> {
  say('all     stop mining, wait for one head')
  const miners = members.filter(({ name }) => name !== 'seed')
  for (const miner of miners) miner.stopMining()
  const deadline = Date.now() + AGREE_MS
  let since: { hash: string; at: number } | undefined
  while (Date.now() < deadline && !stop.signal.aborted) {
    const shared = sharedHead(miners.map(({ head }) => head))
    if (shared == null) since = undefined
    else if (since?.hash !== shared.hash) since = { hash: shared.hash, at: Date.now() }
    else if (Date.now() - since.at >= QUIET_MS) return members.every(({ alive }) => alive)
    await wait(50)
  }
  return false
}

function tellResult(agreed: boolean): void {
  const rows = members.filter(({ name }) => name !== 'seed')
  const head = rows[0]?.head ?? { height: 0, hash: '' }
  const wins = agreed ? tally.wins(head.height) : {}
  if (json) output.line(JSON.stringify({ event: 'result', agreed, height: head.height, hash: head.hash, wins }))
  else for (const line of resultLines({ agreed, rows, wins })) output.line(line)
}

function draw(): void {
  if (!json) output.live(table(members, output.colour))
}

function say(line: string): void {
  if (!json) output.line(line)
}

/** Resolves after `ms`, or when the demo is told to stop. */
function wait(ms: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (stop.signal.aborted) return resolve()
    const timer = ms == null ? setInterval(() => {}, 60_000) : setTimeout(done, ms)
    stop.signal.addEventListener('abort', done, { once: true })
    function done(): void {
      clearTimeout(timer)
      stop.signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

function readArguments(args: string[]): { seconds: number | undefined; json: boolean } {
  try {
    const { values } = parseArgs({
      args,
      options: { for: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    const given = values.for == null ? undefined : Number(values.for)
    if (given != null && !(given >= 1 && given <= 86_400))
      throw new Error(`--for: '${values.for}' is not a number of seconds from 1 to 86400`)
    return { seconds: given, json: values.json ?? false }
  } catch (err) {
    console.error(`error ${err instanceof Error ? err.message : err}\n  ${USAGE}`)
    process.exit(2)
  }
}
