import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How long a child may take to end by itself: profiles are written then. */
const END_MS = 10_000

/**
 * A program in a process of its own, the parent's side. The two speak in JSON over Node's channel; the child ends when the parent
 * lets go of it.
 */
export class Child {
  #process
  #exit
  /** @type {unknown[]} */
  #heard = []
  #wake = () => {}
  #errors = ''

  /**
   * @param {URL} file Calls `role()`.
   * @param {string} role
   * @param {object} config
   * @param {string} [profiles] Folder for a CPU profile.
   * @param {string[]} [flags] Of Node.
   */
  constructor(file, role, config, profiles, flags = []) {
    this.#process = fork(fileURLToPath(file), [role, JSON.stringify(config)], {
      execArgv: [...flags, ...(profiles == null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`])],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc']
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#errors = (this.#errors + text).slice(-4_000)
    })
    this.#process.on('message', (message) => {
      this.#heard.push(message)
      this.#wake()
    })
    this.#exit = once(this.#process, 'exit').then(() => this.#wake())
  }

  /** The next message. Rejects when the child ends or `ms` pass without one. @param {number} ms @returns {Promise<any>} */
  async hear(ms) {
    const name = this.#process.spawnargs.slice(-2).join(' ')
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.#wake()
    }, ms)
    try {
      for (;;) {
        if (this.#heard.length > 0) return this.#heard.shift()
        if (late) throw new Error(`${name}: nothing in ${ms} ms ${this.#errors}`)
        if (this.#process.exitCode != null || this.#process.signalCode != null)
          throw new Error(`${name}: ended ${this.#errors}`)
        await new Promise((resolve) => {
          this.#wake = () => resolve(undefined)
        })
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** @param {object} message */
  tell(message) {
    this.#process.send(message)
  }

  /** Lets go of it; kills it when it does not end. */
  async end() {
    if (this.#process.connected) this.#process.disconnect()
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), END_MS)
    await this.#exit
    clearTimeout(timer)
  }
}

/** The child's side: which part it plays, and how. */
export function role() {
  process.on('disconnect', () => setTimeout(() => process.exit(1), END_MS - 1_000).unref())
  return { role: process.argv[2], config: JSON.parse(process.argv[3]) }
}

/** The child's side. @param {object} message */
export function tell(message) {
  return new Promise((resolve) => process.send?.(message, resolve))
}

/** The child's side: the parent's next message, or that it let go. */
export async function asked() {
  return await Promise.race([once(process, 'message'), once(process, 'disconnect')])
}

/** CPU seconds of all threads of this process since `begin`, and its largest size in bytes. @param {NodeJS.CpuUsage} begin */
export function spent(begin) {
  const { user, system } = process.cpuUsage(begin)
  return { cpu: (user + system) / 1e6, rss: 1024 * process.resourceUsage().maxRSS }
}
