import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { CLI, Program, temporaryDirectory } from '../helpers/process.js'

const directories: { remove(): Promise<void> }[] = []
const servers: Server[] = []

afterEach(async () => {
  await Program.killAll()
  for (const server of servers.splice(0)) server.close()
  for (const directory of directories.splice(0)) await directory.remove()
})

async function directory(): Promise<string> {
  const made = await temporaryDirectory()
  directories.push(made)
  return made.path
}

/** Listens on 127.0.0.1; false when somebody else already does. */
async function occupy(port: number): Promise<number> {
  const server = createServer()
  servers.push(server)
  // a node of another test file may be on it for a moment
  await expect
    .poll(() => listening(server, port), { timeout: 20_000, message: `port ${port} does not become free` })
    .toBe(true)
  const address = server.address()
  return address != null && typeof address === 'object' ? address.port : port
}

function listening(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => resolve(true))
  })
}

/** One line that says what is wrong and what to do. */
function expectFailure(program: Program, code: string): void {
  expect(program.code).toBe(1)
  expect(program.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(program.stderr).toMatch(new RegExp(`^error ${code}  .+; .+`))
  expect(program.stderr).not.toContain('    at ')
}

describe('blockwire', () => {
  it.each([
    ['a wrong option', ['--prot', '1'], "unknown option '--prot' (Did you mean --port?)"],
    ['a malformed multiaddr', ['--seed', '127.0.0.1:5000'], "'127.0.0.1:5000' is no multiaddr"],
    ['a seed without a peer ID', ['--seed', '/ip4/127.0.0.1/tcp/5000'], 'does not end in /p2p/<peer ID>']
  ])('refuses %s: one line, a hint, exit code 2', async (_what, args, message) => {
    const program = await Program.run('node', ...args)
    expect(program.code).toBe(2)
    expect(program.stdout).toBe('')
    expect(program.stderr.trimEnd().split('\n')).toHaveLength(2)
    expect(program.stderr).toContain(message)
    expect(program.stderr).toContain('see blockwire node --help')
  })

  it('prints its version and its help on stdout', async () => {
    const [version, help] = await Promise.all([Program.run('--version'), Program.run('node', '--help')])
    expect([version.code, version.stderr]).toEqual([0, ''])
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect([help.code, help.stderr]).toEqual([0, ''])
    expect(help.stdout).toContain('Examples:')
  })

  it('says in one line that Node is too old, before anything else is loaded', async () => {
    const old = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })"
    const program = new Program('--import', [`data:text/javascript,${encodeURIComponent(old)}`, CLI, 'node'])
    expect(await program.exit).toBe(1)
    expect(program.stderr).toBe(
      'error BW_NODE_VERSION  blockwire needs Node 22.12 or newer, this is 20.20.2; install a newer Node\n'
    )
    expect(program.stdout).toBe('')
  })
})

describe('blockwire node', () => {
  it('shows its address and the command for the next terminal, without escape codes in a pipe, and ends on Ctrl-C', async () => {
    const node = Program.cli('node', '--host', '127.0.0.1', '--port', '0')
    await node.until('the first screen', () => node.stdout.includes('next'))
    const command = /npx blockwire node --seed (\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/p2p\/\w+)/.exec(node.stdout)
    expect(command, node.tail()).not.toBeNull()
    expect(node.stdout).toContain('in memory')

    const second = Program.node('--seed', command![1]!)
    await second.event('peer', ({ action }) => action === 'join')
    await node.until('the line of the peer', () => node.stdout.includes('joined'))

    const since = Date.now()
    expect(await node.signal('SIGINT')).toBe(0)
    expect(Date.now() - since).toBeLessThan(2_000)
    expect(node.stdout).toContain('stopped')
    expect(node.stdout + node.stderr).not.toContain('\u001b')
    expect(node.stderr).toBe('')
    await second.event('peer', ({ action }) => action === 'leave')
  })

  it('listens on all interfaces by default, and shows only addresses that can be dialled', async () => {
    const node = Program.cli('node', '--port', '0', '--json')
    const { multiaddrs } = await node.event('listening')
    expect((multiaddrs as string[]).length).toBeGreaterThan(0)
    for (const address of multiaddrs as string[]) expect(address).not.toMatch(/0\.0\.0\.0|tcp\/0/)
    expect(await node.signal('SIGTERM')).toBe(0)
    expect(node.events.at(-1)).toMatchObject({ event: 'stopped', height: 0 })
    // nothing but JSON, one object a line
    expect(node.stdout.trimEnd().split('\n')).toHaveLength(node.events.length)
    expect(node.events[0]).toMatchObject({ event: 'listening' })
    expect(node.stderr).toBe('')
  })

  it('ends at once on a second Ctrl-C', async () => {
    const node = Program.node()
    await node.event('listening')
    node.child.kill('SIGINT')
    expect(await node.signal('SIGINT')).toBe(0)
  })

  it('moves from a taken default port to the next free one and says so', async () => {
    await occupy(5000)
    const node = Program.cli('node', '--host', '127.0.0.1')
    await node.until('the first screen', () => node.stdout.includes('next'))
    const port = Number(/\/ip4\/127\.0\.0\.1\/tcp\/(\d+)\/p2p/.exec(node.stdout)?.[1])
    expect(port).toBeGreaterThan(5000)
    expect(node.stdout).toContain(`5000 is taken, using ${port}`)
    expect(await node.signal('SIGINT')).toBe(0)
  })

  it('does not start on a port that was asked for and is taken, and names a free one', async () => {
    const port = await occupy(0)
    const node = Program.node('--port', String(port))
    await node.exit
    expectFailure(node, 'BW_PORT_TAKEN')
    expect(node.stderr).toMatch(/choose another port: \d+ is free/)
    expect(node.events).toEqual([
      { event: 'error', code: 'BW_PORT_TAKEN', message: expect.stringContaining(String(port)), fix: expect.any(String) }
    ])
  })

  it('does not start in a directory that cannot be one', async () => {
    const file = join(await directory(), 'file')
    await writeFile(file, '')
    const node = Program.node('--data', join(file, 'data'))
    await node.exit
    expectFailure(node, 'BW_DATA_UNUSABLE')
  })

  it('does not start in a directory that another process uses', async () => {
    const data = await directory()
    const first = Program.node('--data', data)
    await first.event('listening')
    const second = Program.node('--data', data)
    await second.exit
    expectFailure(second, 'BW_DATA_LOCKED')
    expect(second.stderr).toContain(String(first.child.pid))
  })

  it('does not start in the directory of another chain', async () => {
    const data = await directory()
    const first = Program.node('--data', data, '--block-time', '2')
    await first.event('listening')
    expect(await first.signal('SIGINT')).toBe(0)
    const second = Program.node('--data', data, '--block-time', '3')
    await second.exit
    expectFailure(second, 'BW_DATA_FOREIGN')
  })

  it('keeps identity and chain in its directory', async () => {
    const data = await directory()
    const first = Program.node('--data', data, '--mine', '--threads', '1', '--block-time', '0.1')
    const { height } = await first.event('mined', (event) => Number(event.height) >= 2)
    const id = (await first.address()).split('/').at(-1)
    expect(await first.signal('SIGINT')).toBe(0)
    const stopped = first.events.at(-1)
    expect(stopped).toMatchObject({ event: 'stopped' })
    expect(Number(stopped?.height)).toBeGreaterThanOrEqual(Number(height))

    const second = Program.node('--data', data, '--block-time', '0.1')
    expect((await second.address()).split('/').at(-1)).toBe(id)
    expect(await second.signal('SIGINT')).toBe(0)
    expect(second.events.at(-1)).toEqual(stopped)
  })

  it('makes the same identity from the same port when asked to, with a warning', async () => {
    const port = await occupy(0)
    servers.pop()?.close()
    const ids = []
    for (let run = 0; run < 2; run++) {
      const node = Program.node('--debug-identity', '--port', String(port))
      ids.push((await node.address()).split('/').at(-1))
      expect(await node.signal('SIGINT')).toBe(0)
      expect(node.stderr).toContain('warning')
    }
    expect(ids[0]).toBe(ids[1])
  })

  it('tells both sides why nodes of different chains refuse each other', async () => {
    const one = Program.node('--block-time', '2')
    const other = Program.node('--block-time', '3', '--seed', await one.address())
    expect(await one.event('refused')).toMatchObject({
      code: 'genesis',
      field: 'params.blockTime',
      ours: '2000',
      theirs: '3000'
    })
    expect(await other.event('refused')).toMatchObject({
      code: 'genesis',
      field: 'params.blockTime',
      ours: '3000',
      theirs: '2000'
    })
  })

  it('ends quietly when nobody reads its output any more', async () => {
    const node = Program.node('--mine', '--threads', '1', '--block-time', '0.1')
    await node.event('listening')
    node.child.stdout!.destroy()
    expect(await node.exit).toBe(0)
    expect(node.stderr).toBe('')
  })
})
