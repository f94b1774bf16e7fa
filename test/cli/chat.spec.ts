import { createServer, type Server } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, it } from 'vitest'
import { commandLines } from '../../dist/src/cli/chat-commands.js'
import { chatLine } from '../../dist/src/cli/chat-screen.js'
import { bareHost, stopHosts } from '../chat/hosts.js'
import { type CliEvent, Program } from '../helpers/process.js'
import { parse } from './command-line.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const servers: Server[] = []

afterEach(async () => {
  await Program.killAll()
  await stopHosts()
  for (const server of servers.splice(0)) server.close()
})

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

const line = (text: string) => (event: CliEvent) => event.text === text

/** A chat that writes events, and who it is. */
async function jsonChat(...args: string[]): Promise<{ chat: Program; address: string; id: string }> {
  const chat = Program.chat('--json', ...args)
  const address = await chat.address()
  return { chat, address, id: address.split('/').at(-1)! }
}

describe('two chats', () => {
  it('talk both ways with the command that the listener shows, and end on Ctrl-C', async () => {
    const listener = Program.chat()
    await listener.until('the first screen', () => listener.stdout.includes('next'))
    const command = /npx blockwire chat --dial (\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/p2p\/(\w+))/.exec(listener.stdout)
    expect(command, listener.tail()).not.toBeNull()

    const { chat: dialler, id } = await jsonChat('--dial', command![1]!)
    await dialler.event('conversation', ({ peer }) => peer === command![2])
    await listener.until('who joined', () => listener.stdout.includes(`-- ${id.slice(-8)} joined`))
    dialler.type('hello 小明\n')
    await listener.until('the line', () => listener.stdout.includes(`${id.slice(-8)}  hello 小明`))
    listener.type('hi yourself\n')
    await dialler.event('line', line('hi yourself'))

    const since = Date.now()
    expect(await listener.signal('SIGINT')).toBe(0)
    expect(Date.now() - since).toBeLessThan(2_000)
    expect(await dialler.event('closed')).toEqual({ event: 'closed', peer: command![2], reason: 'left' })
    expect(listener.stdout + listener.stderr).not.toContain('\u001b')
    expect(listener.stderr).toBe('')
    expect(await dialler.signal('SIGTERM')).toBe(0)
  })

  it('write nothing but events with --json, one object a line', async () => {
    const { chat: listener, address, id } = await jsonChat()
    const { chat: dialler, id: other } = await jsonChat('-d', address)
    await dialler.event('conversation')
    dialler.type('bad \u001b[2J\u009b\u202e\r\nü\n')
    await listener.event('line', line('ü'))
    await dialler.signal('SIGINT')
    await listener.event('closed')
    await listener.signal('SIGINT')
    expect(listener.events).toEqual([
      { event: 'listening', multiaddrs: [address] },
      { event: 'conversation', peer: other, delivery: 'confirmed' },
      { event: 'line', peer: other, text: 'bad \u001b[2J\u009b\u202e' },
      { event: 'line', peer: other, text: 'ü' },
      { event: 'closed', peer: other, reason: 'left' },
      { event: 'stopped' }
    ])
    expect(listener.stdout.trimEnd().split('\n')).toHaveLength(listener.events.length)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(listener.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    expect(dialler.events.slice(1)).toEqual([
      { event: 'conversation', peer: id, delivery: 'confirmed' },
      { event: 'closed', peer: id, reason: 'stopped' },
      { event: 'stopped' }
    ])
    expect(listener.stderr + dialler.stderr).toBe('')
  })
})

describe('three chats', () => {
  it('talk each with each, and go on when one is killed, saying who is gone', async () => {
    const a = await jsonChat()
    const b = await jsonChat('-d', a.address)
    await b.chat.event('conversation')
    const c = await jsonChat('-d', a.address, '-d', b.address)
    const all = [a, b, c]
    for (const { chat, id } of all) {
      for (const other of all) if (other.id !== id) await chat.event('conversation', ({ peer }) => peer === other.id)
    }
    for (const { chat, id } of all) {
      chat.type(`I am ${id}\n`)
      for (const other of all) if (other.id !== id) await other.chat.event('line', line(`I am ${id}`))
    }
    for (const { chat } of all) expect(chat.events.filter(({ event }) => event === 'line')).toHaveLength(2)

    a.chat.child.kill('SIGKILL')
    for (const { chat } of [b, c]) {
      expect(await chat.event('away')).toEqual({ event: 'away', peer: a.id })
    }
    b.chat.type('only two of us\n')
    await c.chat.event('line', line('only two of us'))
    expect(await Promise.all([b.chat.signal('SIGINT'), c.chat.signal('SIGINT')])).toEqual([0, 0])
    expect(b.chat.stderr + c.chat.stderr).toBe('')
  }, 90_000)

  it('show people who is gone, and how', async () => {
    const listener = Program.chat()
    await listener.until('the first screen', () => listener.stdout.includes('next'))
    const address = /--dial (\S+)/.exec(listener.stdout)![1]!
    const [killed, leaving] = [await jsonChat('-d', address), await jsonChat('-d', address)]
    await listener.until('both', () => listener.stdout.split('joined').length === 3)
    killed.chat.child.kill('SIGKILL')
    await listener.until('who was killed', () =>
      listener.stdout.includes(
        `-- ${killed.id.slice(-8)} is gone: the connection was lost; waiting for it to come back\n`
      )
    )
    await leaving.chat.signal('SIGINT')
    await listener.until('who left', () => listener.stdout.includes(`-- ${leaving.id.slice(-8)} left\n`))
    expect(await listener.signal('SIGINT')).toBe(0)
  })
})

describe('a room', () => {
  /** In the room, with its screen for people. */
  async function inRoom(name: string, ...args: string[]): Promise<{ chat: Program; next: string[] }> {
    const chat = Program.chat('--name', name, ...args)
    await chat.until('the first screen', () => chat.stdout.includes('next'))
    const [, command] = /npx blockwire chat (--room lobby --seed \/ip4\/127\.0\.0\.1\/\S+)/.exec(chat.stdout) ?? []
    expect(command, chat.tail()).toBeDefined()
    return { chat, next: command!.split(' ') }
  }

  it('is entered by three with what each screen shows; whoever is killed, the others talk on and are told', async () => {
    const ana = await inRoom('ana', '--room', 'lobby')
    const leo = await inRoom('leo', ...ana.next)
    const ming = await inRoom('小明', ...leo.next)
    const all = { ana, leo, 小明: ming }
    const others = (name: string) => Object.entries(all).filter(([other]) => other !== name)
    for (const [name, { chat }] of Object.entries(all)) {
      for (const [other] of others(name)) await chat.until(other, () => chat.stdout.includes(`-- ${other}~`))
    }
    for (const [name, { chat }] of Object.entries(all)) {
      chat.type(`I am ${name}\n`)
      for (const [, other] of others(name)) {
        await other.chat.until(`a line of ${name}`, () => other.chat.stdout.includes(`I am ${name}`))
      }
    }
    // whom all came through
    ana.chat.child.kill('SIGKILL')
    leo.chat.type('only two of us\n')
    await ming.chat.until('what is said among those who stay', () => ming.chat.stdout.includes('only two of us'))
    for (const { chat } of [leo, ming]) {
      await chat.until('who was killed', () => /-- ana~\w{4} left: nothing is heard of it\n/.test(chat.stdout), 40_000)
    }
    expect(await leo.chat.signal('SIGINT')).toBe(0)
    await ming.chat.until('who left', () => /-- leo~\w{4} left\n/.test(ming.chat.stdout))
    expect(await ming.chat.signal('SIGINT')).toBe(0)
    expect(ming.chat.stdout.split('I am leo')).toHaveLength(2)
    expect(ming.chat.stderr).toBe('')
  }, 90_000)

  it('hears a pipe, which waits until somebody is there and ends; a newcomer is told what was said', async () => {
    const { chat: ana, address } = await jsonChat('--room', 'lobby', '--name', 'ana')
    const pipe = Program.chat('--room', 'lobby', '-d', address)
    pipe.child.stdin!.end('one\n\ntwo')
    expect(await pipe.exit).toBe(0)
    await ana.event('message', line('two'))
    expect(ana.events.filter(({ event }) => event === 'message').map(({ text }) => text)).toEqual(['one', 'two'])
    ana.type('three\n')
    const { chat: leo } = await jsonChat('--seed', address, '--name', 'leo')
    await leo.event('message', line('three'))
    expect(await leo.event('message', line('one'))).toMatchObject({ past: true })
    await ana.event('join', ({ name }) => name === 'leo')
    expect(ana.stderr + leo.stderr + pipe.stderr).toBe('')
  }, 60_000)

  it('says that a seed is not there, and goes on trying', async () => {
    const port = await occupy(0)
    servers.pop()?.close()
    const { chat } = await jsonChat('--seed', `/ip4/127.0.0.1/tcp/${port}/p2p/${ID}`)
    expect(await chat.event('seed')).toMatchObject({ state: 'failed', error: expect.any(String) })
    expect(chat.code).toBeUndefined()
  })
})

describe('a pipe', () => {
  it('is said whole, its last line without an end too, and the program ends', async () => {
    const { chat: listener, address } = await jsonChat()
    const dialler = Program.chat('-d', address)
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`)
    dialler.child.stdin!.end(lines.join('\n'))
    expect(await dialler.exit).toBe(0)
    expect((await listener.event('closed')).reason).toBe('left')
    expect(listener.events.filter(({ event }) => event === 'line').map(({ text }) => text)).toEqual(lines)
    expect(listener.code).toBeUndefined()
  })

  it('to one who stands still waits, and arrives once and in order when he goes on', async () => {
    const { chat: listener, address } = await jsonChat()
    const { chat: dialler } = await jsonChat('-d', address)
    await listener.event('conversation')
    listener.child.kill('SIGSTOP')
    const lines = Array.from({ length: 3_000 }, (_, index) => `line ${index}`)
    dialler.child.stdin!.write(`${lines.join('\n')}\n`)
    listener.child.kill('SIGCONT')
    await listener.event('line', line('line 2999'))
    expect(listener.events.filter(({ event }) => event === 'line').map(({ text }) => text)).toEqual(lines)
  })

  it('of a listener waits for somebody to hear it', async () => {
    const { chat: listener, address } = await jsonChat()
    listener.child.stdin!.end('patience\n')
    const { chat: dialler } = await jsonChat('-d', address)
    await dialler.event('line', line('patience'))
    dialler.type('thanks\n')
    await listener.event('line', line('thanks'))
  })

  it('is not needed: with /dev/null as its stdin a chat listens', async () => {
    const { chat: listener, address } = await jsonChat()
    const dialler = Program.cli('chat', '--json', '--host', '127.0.0.1', '-p', '0', '-d', address)
    await dialler.event('conversation')
    listener.type('still there?\n')
    await dialler.event('line', line('still there?'))
    expect(await dialler.signal('SIGINT')).toBe(0)
  })

  it('that could not be said in whole is an exit code of 1, with the reason', async () => {
    const { chat: listener, address } = await jsonChat()
    const dialler = Program.chat('--json', '-d', address)
    dialler.child.stdin!.end(`${'x'.repeat(65_537)}\nfine\n`)
    expect(await dialler.exit).toBe(1)
    await listener.event('line', line('fine'))
    expect(await dialler.event('error')).toMatchObject({ code: 'BW_CONFIG', message: expect.stringContaining('65537') })
  })

  it('that nobody hears any more is an exit code of 1, said once', async () => {
    const { chat: listener, address } = await jsonChat()
    const { chat: dialler } = await jsonChat('-d', address)
    await dialler.event('conversation')
    await listener.signal('SIGINT')
    await dialler.event('closed')
    dialler.child.stdin!.end('anyone?\n'.repeat(1_000))
    expect(await dialler.exit).toBe(1)
    expect(await dialler.event('error')).toMatchObject({ code: 'BW_CHAT_ALONE' })
    expect(dialler.events.filter(({ event }) => event === 'error')).toHaveLength(1)
  })

  it('whose reader is gone ends the program quietly', async () => {
    const { chat: listener, address } = await jsonChat()
    const { chat: dialler } = await jsonChat('-d', address)
    listener.child.stdout!.destroy()
    await dialler.event('conversation')
    dialler.type('to nobody\n')
    expect(await listener.exit).toBe(0)
    expect(listener.stderr).toBe('')
  })
})

describe('a stranger', () => {
  it('who sends half a line, a line of 10 MiB or rubbish ends nothing but its own conversation', async () => {
    const { chat, address } = await jsonChat()
    const friend = await jsonChat('-d', address)
    const attacks: [Uint8Array, string][] = [
      [Buffer.from('half a li'), 'lost'],
      [Buffer.alloc(10 << 20, 'x'), 'too-large'],
      [Buffer.from([0xff, 0xfe, 0, 27, 0x9b, 10]), 'lost']
    ]
    for (const [bytes, reason] of attacks) {
      const host = await bareHost('tcp')
      const stream = await host.dialProtocol(multiaddr(address), '/chat/1.0.0')
      await chat.event('conversation', ({ peer }) => peer === host.peerId.toString())
      stream.send(bytes)
      if (reason === 'lost') for (const connection of host.getConnections()) connection.abort(new Error('gone'))
      await chat.event('closed', (event) => event.peer === host.peerId.toString() && event.reason === reason)
    }
    friend.chat.type('are you well?\n')
    await chat.event('line', line('are you well?'))
    expect(chat.stderr).toBe('')
  })
})

describe('starting', () => {
  it('takes port 5001 or the next free one, and says so', async () => {
    await occupy(5001)
    const chat = Program.cli('chat', '--host', '127.0.0.1')
    await chat.until('the first screen', () => chat.stdout.includes('next'))
    const port = Number(/\/ip4\/127\.0\.0\.1\/tcp\/(\d+)\/p2p/.exec(chat.stdout)?.[1])
    expect(port).toBeGreaterThan(5001)
    expect(chat.stdout).toContain(`5001 is taken, using ${port}`)
  })

  it('fails on a port that was asked for and is taken, naming a free one', async () => {
    const port = await occupy(0)
    const chat = Program.chat('--json', '--port', String(port))
    expect(await chat.exit).toBe(1)
    expect(chat.events).toEqual([
      {
        event: 'error',
        code: 'BW_PORT_TAKEN',
        message: expect.stringContaining(String(port)),
        fix: expect.stringMatching(/choose another port: \d+ is free/)
      }
    ])
    expect(chat.stderr).toMatch(/^error BW_PORT_TAKEN {2}.+\n$/)
  })

  it('fails when nobody who is dialled answers, and says who and why', async () => {
    const port = await occupy(0)
    servers.pop()?.close()
    const chat = Program.chat('-d', `/ip4/127.0.0.1/tcp/${port}`)
    expect(await chat.exit).toBe(1)
    expect(chat.stderr).toMatch(/^error BW_UNREACHABLE .*nobody listens there.*\n$/)
  })

  it('goes on when one of two answers', async () => {
    const { chat: listener, address } = await jsonChat()
    const other = await bareHost('tcp')
    const { chat } = await jsonChat('-d', `${address},${other.getMultiaddrs()[0]}`)
    expect(await chat.event('error')).toMatchObject({
      code: 'BW_PEER_UNSUPPORTED',
      fix: 'check that a chat runs there'
    })
    chat.type('hello\n')
    await listener.event('line', line('hello'))
  })

  it('makes the same identity from the same port when asked to, with a warning', async () => {
    const port = await occupy(0)
    servers.pop()?.close()
    const ids = []
    for (let turn = 0; turn < 2; turn++) {
      const { chat, id } = await jsonChat('--debug-identity', '--port', String(port))
      ids.push(id)
      expect(await chat.signal('SIGINT')).toBe(0)
      expect(chat.stderr).toContain('warning')
    }
    expect(ids[0]).toBe(ids[1])
  })
})

describe('blockwire chat: its options', () => {
  const chat = (...args: string[]) => parse('chat', ...args)

  it('have defaults, and short names', async () => {
    expect((await chat()).got.chat).toEqual({
      port: undefined,
      host: '0.0.0.0',
      dial: [],
      room: undefined,
      seeds: [],
      name: undefined,
      color: true,
      debugIdentity: false,
      json: false
    })
    expect((await chat('--seed', `/ip4/127.0.0.1/tcp/5001/p2p/${ID}`)).got.chat).toMatchObject({ room: 'lobby' })
    const [one, two] = [`/ip4/127.0.0.1/tcp/5001/p2p/${ID}`, '/dns4/example.org/tcp/5002']
    const all = ['-p', '7000', '--host', '127.0.0.1', '-d', one, '-d', two, '--debug-identity', '--json', '--no-color']
    expect((await chat(...all)).got.chat).toEqual({
      port: 7000,
      host: '127.0.0.1',
      dial: [one, two],
      room: undefined,
      seeds: [],
      name: undefined,
      color: false,
      debugIdentity: true,
      json: true
    })
  })

  it.each([
    [['--dial', 'nonsense'], "--dial: 'nonsense' is no multiaddr"],
    [['--dial', '127.0.0.1:5001'], "--dial: '127.0.0.1:5001' is no multiaddr"],
    [['--dial', `/ip4/127.0.0.1/udp/5001/p2p/${ID}`], 'is not a TCP address'],
    [['--dial', '/ip4/127.0.0.1/tcp/5001/p2p/xyz'], '--dial'],
    [['-d', ','], '--dial: is empty'],
    [['--port', '65536'], "--port: '65536'"],
    [['--debug-identity', '-p', '0'], '--debug-identity'],
    [['--room', 'The Lobby'], "--room: 'The Lobby' is no name of a room"],
    [['--name', 'ana'], '--name: is what others see in a room'],
    [['--room', 'lobby', '--name', 'x'.repeat(33)], '33 bytes'],
    [['--room', 'lobby', '-d', '/ip4/127.0.0.1/tcp/5001'], 'must end in /p2p/<peer ID>'],
    [['--seed', 'nonsense'], "--seed: 'nonsense' is no multiaddr"],
    [['--dail', 'x'], "unknown option '--dail' (Did you mean --dial?)"]
  ])('are refused when wrong: %j', async (args, message) => {
    const { code, err, got } = await chat(...args)
    expect([code, got]).toEqual([2, {}])
    expect(err.trimEnd().split('\n')).toHaveLength(2)
    expect(err).toContain(message)
    expect(err).toContain('see blockwire chat --help')
  })

  it('are explained with examples', async () => {
    const { code, out } = await chat('--help')
    expect(code).toBe(0)
    for (const part of ['--port', '--dial', '5001', 'Examples:', 'echo hi | blockwire chat -d'])
      expect(out).toContain(part)
  })
})

describe('commands', () => {
  const view = {
    peerId: ID,
    room: { name: 'lobby', nickname: 'ana', members: [{ peer: ID, nickname: 'l\u001b[2Jeo' }] },
    conversations: [{ peer: ID, connected: false, waiting: 2 }],
    connections: [{ peer: ID, address: `/ip4/127.0.0.1/tcp/5001/p2p/${ID}`, direction: 'outbound' }]
  }

  it('are answered, and what is none is said', () => {
    expect(commandLines('hello /who', view)).toEqual({ say: 'hello /who' })
    expect(commandLines('//who', view)).toEqual({ say: '/who' })
    expect(commandLines('/quit ', view)).toBe('quit')
    expect(commandLines('/who', view)).toEqual([
      'ana~nXTN   you',
      'l[2Jeo~nXTN   in lobby',
      `${ID.slice(-8)}   gone, waiting for it   2 lines on their way`
    ])
    expect(commandLines('/peers', view)).toEqual([`${ID.slice(-8)}   dialled at /ip4/127.0.0.1/tcp/5001`])
    expect(commandLines('/help', view)).toContain('/peers  who is connected, and where')
    expect(commandLines('/x\u001b[2J', view)).toEqual(['/x[2J is no command: /help lists them'])
  })
})

describe('a line on the screen', () => {
  it('holds nothing that a terminal obeys, and cannot look like news', () => {
    const text = '\u001b[2J\u009b1A\r-- x left\u202e\n'
    const shown = chatLine({ event: 'line', peer: ID, text }, 0, false)
    expect(shown).toMatch(/^\d\d:\d\d:\d\d {2}\w{8} {2}\[2J1A-- x left$/)
    const past = { event: 'message', peer: ID, name: text, text, time: 0, past: true } as const
    expect(chatLine(past, 0, false)).toMatch(/^\d\d:\d\d:\d\d {2}\[2J1A-- x left~nXTN {2}\[2J1A-- x left$/)
  })
})
