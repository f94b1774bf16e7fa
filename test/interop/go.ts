import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const source = fileURLToPath(new URL('go/', import.meta.url))

/** Why the Go side cannot be built here; undefined when it can. */
export function whyNoGo(): string | undefined {
  try {
    execFileSync('go', ['version'], { stdio: 'pipe' })
    return undefined
  } catch (err) {
    return `there is no Go here: ${(err as Error).message.split('\n')[0]}`
  }
}

let folder: string | undefined

/** Compiles the program, with the versions that go.mod names. */
export async function build(): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), 'blockwire-interop-'))
  await promisify(execFile)('go', ['build', '-mod=readonly', '-o', join(folder, 'interop'), '.'], { cwd: source })
}

export function clean(): void {
  GoProgram.killAll()
  if (folder != null) rmSync(folder, { recursive: true, force: true })
}

/** The Go program, running. */
export class GoProgram {
  static readonly #all = new Set<GoProgram>()
  readonly lines: string[] = []
  stderr = ''
  /** Exit code, or null when a signal ended it. */
  readonly exit: Promise<number | null>
  readonly #child: ChildProcess
  readonly #watchers = new Set<() => void>()
  #code: number | null | undefined

  constructor(...args: string[]) {
    this.#child = spawn(join(folder!, 'interop'), args, { stdio: 'pipe' })
    GoProgram.#all.add(this)
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.lines.push(line)
      this.#wake()
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.#child.stdin!.on('error', () => {})
    this.exit = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        this.#code = code
        GoProgram.#all.delete(this)
        resolve(code)
        this.#wake()
      })
    })
  }

  static killAll(): void {
    for (const program of GoProgram.#all) program.#child.kill('SIGKILL')
  }

  type(...lines: string[]): void {
    this.#child.stdin!.write(lines.map((line) => `${line}\n`).join(''))
  }

  /** No more is typed. */
  end(): void {
    this.#child.stdin!.end()
  }

  /** The first line that matches, past ones included. */
  line(pattern: RegExp, ms = 60_000): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const done = (problem?: string, found?: RegExpExecArray): void => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        if (found != null) resolve(found)
        else
          reject(new Error(`${problem}; its lines: ${this.lines.slice(-5).join(' | ').slice(0, 500)}; ${this.stderr}`))
      }
      const timer = setTimeout(() => done(`no line ${pattern} within ${ms} ms`), ms)
      const look = (): void => {
        for (const line of this.lines) {
          const found = pattern.exec(line)
          if (found == null) continue
          done(undefined, found)
          return
        }
        if (this.#code !== undefined) done(`the Go program ended with ${this.#code} before a line ${pattern}`)
      }
      this.#watchers.add(look)
      look()
    })
  }

  #wake(): void {
    for (const look of [...this.#watchers]) look()
  }
}
