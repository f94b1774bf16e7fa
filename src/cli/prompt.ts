import { clearScreenDown, createInterface, cursorTo, moveCursor } from 'node:readline'

/** The line that a person is typing, at the bottom of a terminal, and what is printed above it. */
export interface Prompt extends AsyncIterable<string> {
  /** Prints a line above; what was typed so far stays, with the cursor where it was. */
  print(text: string): void
  close(): void
}

/** Takes stdin and stdout, which are terminals. `onInterrupt` is called on Ctrl-C. The lines end on Ctrl-D. */
export function openPrompt(onInterrupt: () => void): Prompt {
  const { stdin: input, stdout: output } = process
  const terminal = createInterface({ input, output, prompt: '> ' })
  terminal.on('SIGINT', onInterrupt)
  let open = true
  terminal.once('close', () => {
    open = false
  })
  terminal.prompt()
  return {
    print(text) {
      if (!open) {
        output.write(`${text}\n`)
        return
      }
      moveCursor(output, 0, -terminal.getCursorPos().rows)
      cursorTo(output, 0)
      clearScreenDown(output)
      output.write(`${text}\n`)
      // readline goes up by the rows that it last drew: there are none here
      Object.assign(terminal, { prevRows: 0 })
      terminal.prompt(true)
    },
    close() {
      if (!open) return
      cursorTo(output, 0)
      clearScreenDown(output)
      terminal.close()
    },
    async *[Symbol.asyncIterator]() {
      for await (const line of terminal) {
        yield line
        if (open) terminal.prompt()
      }
    }
  }
}
