import { type ChatEvent, type ChatRoom, openChatRoom } from '../../examples/chat/index.js'
import { dialable } from '../../examples/mining-node/address.js'
import { ChatAloneError, PeerError } from '../errors.js'
import { type ChatOptions, DEFAULT_CHAT_PORT } from './chat-command.js'
import { type ChatOutput, openChatOutput } from './chat-output.js'
import { debugKey } from './debug-key.js'
import { failureOf } from './failure.js'
import { invocation } from './invocation.js'
import { listenAddress } from './option.js'
import { startOnPort } from './port.js'
import { stopRequest } from './stop.js'

/** Time for goodbyes; after it the process ends anyway. */
const STOP_MS = 1_700

/** Runs `blockwire chat` until it is told to stop, or has said all that it was to say. Resolves with the exit code. */
export async function runChat(options: ChatOptions, version: string): Promise<number> {
  const stop = stopRequest()
  const output = openChatOutput(options.json, stop.now)
  const reception = new Reception(output)
  let room: ChatRoom | undefined
  try {
    const started = await Promise.race([start(options, reception), stop.asked])
    // stopped before it stood: there is nobody to say goodbye to
    if (started == null) return 0
    room = started.running
    output.welcome({
      version,
      readyMs: performance.now(),
      peerId: room.peerId,
      multiaddrs: dialable(room.multiaddrs).map(({ address }) => address),
      movedTo: options.port == null && started.port !== DEFAULT_CHAT_PORT ? started.port : undefined,
      debugIdentity: options.debugIdentity,
      program: invocation()
    })
    reception.open()
    return await Promise.race([talk(room, options, output, reception, stop.asked), stop.asked.then(() => 0)])
  } catch (err) {
    const failure = failureOf(err)
    output.fail(failure)
    return failure.exit
  } finally {
    if (room != null) await withinTime(room.stop())
    if (room != null) output.stopped()
    await output.end()
  }
}

function start(options: ChatOptions, { report }: Reception): Promise<{ running: ChatRoom; port: number }> {
  const { host, port: asked, debugIdentity } = options
  return startOnPort({ host, asked, first: DEFAULT_CHAT_PORT }, async (port) =>
    openChatRoom({
      listen: [listenAddress(host, port)],
      report,
      ...(debugIdentity ? { privateKey: await debugKey(port) } : {})
    })
  )
}

/** Begins the conversations that were asked for and says what comes in on stdin. Resolves with the exit code. */
async function talk(
  room: ChatRoom,
  { dial }: ChatOptions,
  output: ChatOutput,
  reception: Reception,
  asked: Promise<void>
): Promise<number> {
  const joined = await Promise.all(dial.map((address) => join(room, address, output)))
  if (dial.length > 0 && !joined.includes(true)) return 1
  const lines = output.input()
  const speaker = new Speaker(room, output)
  let unsaid = joined.includes(false)
  if (lines != null) {
    for await (const text of lines) {
      if (output.interactive) {
        // not waited for: one who does not read must not keep a person from talking to the others
        if (text.trim() !== '') void speaker.say(text)
        continue
      }
      // a listener keeps what it is to say for who comes first
      if (dial.length === 0) await reception.somebody(room)
      if (!(await speaker.say(text))) unsaid = true
    }
    if (output.interactive) return 0
  }
  if (lines == null || dial.length === 0) {
    await asked
    return 0
  }
  const lost = await room.finish()
  return lost > 0 || unsaid ? 1 : 0
}

async function join(room: ChatRoom, address: string, output: ChatOutput): Promise<boolean> {
  try {
    await room.join(address)
    return true
  } catch (err) {
    const failure = failureOf(err)
    output.fail(err instanceof PeerError ? { ...failure, fix: 'check that a chat runs there' } : failure)
    return false
  }
}

/** Says lines, and why one could not be said. */
class Speaker {
  /** Told, and still so. */
  #alone = false

  constructor(
    private readonly room: ChatRoom,
    private readonly output: ChatOutput
  ) {}

  /** Never rejects. */
  async say(text: string): Promise<boolean> {
    try {
      const alone = (await this.room.say(text)) === 0
      // a person hears it for each line, a pipe once: it may have a million
      if (alone && (this.output.interactive || !this.#alone)) this.#fail(new ChatAloneError())
      this.#alone = alone
      return !alone
    } catch (err) {
      this.#fail(err)
      return false
    }
  }

  #fail(err: unknown): void {
    // the command line was right: this is no reason to show its help
    this.output.fail({ ...failureOf(err), exit: 1 })
  }
}

/** Holds back what happens before the first screen, and knows when somebody is here. */
class Reception {
  #held: ChatEvent[] | undefined = []
  #wake: () => void = () => {}

  constructor(private readonly output: ChatOutput) {}

  readonly report = (event: ChatEvent): void => {
    if (event.event === 'conversation') this.#wake()
    if (this.#held == null) this.output.report(event)
    else this.#held.push(event)
  }

  open(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const event of held) this.output.report(event)
  }

  async somebody(room: ChatRoom): Promise<void> {
    while (room.size === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

async function withinTime(stopped: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, STOP_MS)
  })
  await Promise.race([stopped.catch(() => {}), late])
  clearTimeout(timer)
}
