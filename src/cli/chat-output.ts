import { fstatSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { ChatEvent } from '../../examples/chat/index.js'
import { openOutput } from '../../examples/mining-node/output.js'
import { type ChatWelcome, chatLine, chatWelcomeLines, movedLine } from './chat-screen.js'
import { type Failure, failureLines } from './failure.js'
import { jsonText } from './json.js'
import { openPrompt, type Prompt } from './prompt.js'
import { DEBUG_IDENTITY } from './screen.js'

/** Where the chat is shown, and where what is to be said comes from. */
export interface ChatOutput {
  welcome(welcome: ChatWelcome): void
  readonly report: (event: ChatEvent) => void
  fail(failure: Failure): void
  /** For a person only. */
  note(text: string): void
  /** Lines to say; undefined where none can come. Begins to read. */
  input(): AsyncIterable<string> | undefined
  /** A person sits there, who sees that nobody is here. */
  readonly interactive: boolean
  stopped(): void
  /** Resolves when everything is handed to the system. */
  end(): Promise<void>
}

/** `onClosed` is called when nobody reads us any more, or on Ctrl-C. */
export function openChatOutput(options: { json: boolean; color: boolean }, onClosed: () => void): ChatOutput {
  return options.json ? new JsonOutput(onClosed) : new HumanOutput(onClosed, options.color)
}

class JsonOutput implements ChatOutput {
  readonly interactive = false
  readonly #output
  readonly report = (event: ChatEvent): void => this.#line(event)

  constructor(onClosed: () => void) {
    this.#output = openOutput(onClosed)
  }

  welcome({ multiaddrs, movedTo, debugIdentity }: ChatWelcome): void {
    this.#line({ event: 'listening', multiaddrs })
    if (movedTo != null) console.error(`port ${movedLine(movedTo)}`)
    if (debugIdentity) console.error(`warning ${DEBUG_IDENTITY}`)
  }

  fail(failure: Failure): void {
    const { code, message, fix } = failure
    this.#line({ event: 'error', code, message, fix })
    for (const line of failureLines(failure, 'blockwire chat')) console.error(line)
  }

  note(): void {}

  input(): AsyncIterable<string> | undefined {
    return pipedLines()
  }

  stopped(): void {
    this.#line({ event: 'stopped' })
  }

  end(): Promise<void> {
    return this.#output.end()
  }

  #line(event: { event: string; [field: string]: unknown }): void {
    this.#output.line(jsonText(event))
  }
}

class HumanOutput implements ChatOutput {
  readonly interactive: boolean
  readonly #output
  #prompt: Prompt | undefined

  readonly #colour: boolean

  constructor(
    private readonly onClosed: () => void,
    color: boolean
  ) {
    this.#output = openOutput(onClosed)
    this.#colour = color && this.#output.colour
    this.interactive = process.stdin.isTTY === true && this.#output.isTerminal
  }

  welcome(welcome: ChatWelcome): void {
    for (const line of chatWelcomeLines(welcome)) this.#output.line(line)
  }

  readonly report = (event: ChatEvent): void => {
    const line = chatLine(event, Date.now(), this.#colour)
    if (line != null) this.#line(line)
  }

  fail(failure: Failure): void {
    for (const line of failureLines(failure, 'blockwire chat')) {
      if (this.#prompt == null) console.error(line)
      else this.#line(line)
    }
  }

  note(text: string): void {
    this.#line(`-- ${text}`)
  }

  input(): AsyncIterable<string> | undefined {
    if (!this.interactive) return pipedLines()
    this.#prompt = openPrompt(this.onClosed)
    return this.#prompt
  }

  stopped(): void {}

  end(): Promise<void> {
    this.#prompt?.close()
    this.#prompt = undefined
    return this.#output.end()
  }

  #line(text: string): void {
    if (this.#prompt == null) this.#output.line(text)
    else this.#prompt.print(text)
  }
}

/** The lines of stdin; undefined where it is closed or a device such as /dev/null, as for programs in the background. */
function pipedLines(): AsyncIterable<string> | undefined {
  try {
    if (!process.stdin.isTTY && fstatSync(0).isCharacterDevice()) return undefined
  } catch {
    return undefined
  }
  return createInterface({ input: process.stdin, terminal: false, crlfDelay: Number.POSITIVE_INFINITY })
}
