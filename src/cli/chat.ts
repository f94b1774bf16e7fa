import { type ChatEvent, LINES_AHEAD, type OpenChat, openChat } from '../../examples/chat/index.js'
import { dialable } from '../../examples/mining-node/address.js'
import { BusyError, ChatAloneError, PeerError } from '../errors.js'
import { type ChatOptions, DEFAULT_CHAT_PORT } from './chat-command.js'
import { commandLines } from './chat-commands.js'
import { type ChatOutput, openChatOutput } from './chat-output.js'
import { debugKey } from './debug-key.js'
import { failureOf } from './failure.js'
import { invocation } from './invocation.js'
import { listenAddress } from './option.js'
import { startOnPort } from './port.js'
import { stopRequest } from './stop.js'

/** Time for goodbyes; after it the process ends anyway. */
const STOP_MS = 1_700

/** How long one whose connection is lost is waited for. */
const AWAY_MS = 20_000

/** Runs `blockwire chat` until it is told to stop, or has said all that it was to say. Resolves with the exit code. */
export async function runChat(options: ChatOptions, version: string): Promise<number> {
  const stop = stopRequest()
  const output = openChatOutput(options, stop.now)
  const reception = new Reception(output)
  let chat: OpenChat | undefined
  try {
    const started = await Promise.race([start(options, reception), stop.asked])
    // stopped before it stood: there is nobody to say goodbye to
    if (started == null) return 0
    chat = started.running
    output.welcome({
      version,
      readyMs: performance.now(),
      peerId: chat.peerId,
      multiaddrs: dialable(chat.multiaddrs).map(({ address }) => address),
      room: options.room,
      name: options.name,
      movedTo: options.port == null && started.port !== DEFAULT_CHAT_PORT ? started.port : undefined,
      debugIdentity: options.debugIdentity,
      program: invocation()
    })
    reception.open()
    return await Promise.race([talk(chat, options, output, reception, stop.asked), stop.asked.then(() => 0)])
  } catch (err) {
    const failure = failureOf(err)
    output.fail(failure)
    return failure.exit
  } finally {
    if (chat != null) await withinTime(chat.stop())
    if (chat != null) output.stopped()
    await output.end()
  }
}

function start(options: ChatOptions, { report }: Reception): Promise<{ running: OpenChat; port: number }> {
  const { host, port: asked, debugIdentity, room, name, seeds, dial } = options
  return startOnPort({ host, asked, first: DEFAULT_CHAT_PORT }, async (port) =>
    openChat({
      listen: [listenAddress(host, port)],
      report,
      awayMs: AWAY_MS,
      ...(name == null ? {} : { name }),
      // a room needs a connection, and no conversation beside it
      ...(room == null ? { seeds } : { room, seeds: [...seeds, ...dial] }),
      ...(debugIdentity ? { privateKey: await debugKey(port) } : {})
    })
  )
}

/** Begins the conversations that were asked for and says what comes in on stdin. Resolves with the exit code. */
async function talk(
  chat: OpenChat,
  options: ChatOptions,
  output: ChatOutput,
  reception: Reception,
  asked: Promise<void>
): Promise<number> {
  const dial = options.room == null ? options.dial : []
  const joined = await Promise.all(dial.map((address) => join(chat, address, output)))
  if (dial.length > 0 && !joined.includes(true)) return 1
  const lines = output.input()
  const speaker = new Speaker(chat, output)
  if (lines != null && output.interactive) {
    await converse(chat, lines, speaker, output)
    return 0
  }
  let said = !joined.includes(false)
  // a listener, or a room, keeps what it is to say for who comes first
  if (lines != null)
    said = (await sayAll(lines, speaker, dial.length > 0 ? undefined : () => reception.somebody(chat))) && said
  if (lines == null || options.dial.length + options.seeds.length === 0) {
    await asked
    return 0
  }
  const lost = await chat.finish()
  return lost > 0 || !said ? 1 : 0
}

/** What a person types, until there is no more. */
async function converse(
  chat: OpenChat,
  lines: AsyncIterable<string>,
  speaker: Speaker,
  output: ChatOutput
): Promise<void> {
  for await (const text of lines) {
    const answer = commandLines(text, chat)
    if (answer === 'quit') return
    if (Array.isArray(answer)) for (const line of answer) output.note(line)
    // not waited for: one who does not read must not keep a person from talking to the others
    else if (answer.say.trim() !== '') void speaker.say(answer.say)
  }
}

/** A pipe, with some lines on their way at a time. False when any of them was not said. */
async function sayAll(
  lines: AsyncIterable<string>,
  speaker: Speaker,
  ready: (() => Promise<void>) | undefined
): Promise<boolean> {
  let all = true
  const underway: Promise<unknown>[] = []
  for await (const text of lines) {
    await ready?.()
    if (underway.length >= LINES_AHEAD) await underway.shift()
    underway.push(
      speaker.say(text).then((said) => {
        all &&= said
      })
    )
  }
  await Promise.all(underway)
  return all
}

async function join(chat: OpenChat, address: string, output: ChatOutput): Promise<boolean> {
  try {
    await chat.join(address)
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
    private readonly chat: OpenChat,
    private readonly output: ChatOutput
  ) {}

  /** Never rejects. A pipe waits where a person is told to. */
  async say(text: string): Promise<boolean> {
    // a room has no empty lines
    if (text === '' && this.chat.room != null) return true
    try {
      const alone = (await this.#said(text)) === 0
      // a person hears it for each line, a pipe once: it may have a million
      if (alone && (this.output.interactive || !this.#alone)) this.#tellAlone()
      this.#alone = alone
      return !alone
    } catch (err) {
      this.#fail(err)
      return false
    }
  }

  async #said(text: string): Promise<number> {
    while (true) {
      try {
        return await this.chat.say(text)
      } catch (err) {
        if (!(err instanceof BusyError) || this.output.interactive) throw err
        await new Promise((resolve) => setTimeout(resolve, err.retryMs))
      }
    }
  }

  #tellAlone(): void {
    if (this.chat.room == null) this.#fail(new ChatAloneError())
    else this.output.note('nobody is here yet; whoever comes next sees it')
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
    if (event.event === 'conversation' || event.event === 'join') this.#wake()
    if (this.#held == null) this.output.report(event)
    else this.#held.push(event)
  }

  open(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const event of held) this.output.report(event)
  }

  async somebody(chat: OpenChat): Promise<void> {
    while (chat.size === 0) {
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
