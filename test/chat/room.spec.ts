import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type Chat, chat, type Room, type RoomInit } from 'blockwire/chat'
import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { History } from '../../dist/src/chat/history.js'
import { Members } from '../../dist/src/chat/members.js'
import { decode, MAX_MESSAGE_BYTES, sign } from '../../dist/src/chat/signed-message.js'
import { RoomMessage } from '../../dist/src/pb/room.js'
import { changed, type Host, host, line, until } from '../gossip/hosts.js'

const TOPIC = '/blockwire/test-00000000/chat.lobby/1'

interface Guest {
  host: Host
  room: Room
  /** What was told, in short. */
  seen: string[]
}

async function guest(nickname: string, init: RoomInit = {}, clock?: HandClock): Promise<Guest> {
  const made = await host({ services: { chat: chat(clock == null ? {} : { clock }) as never } })
  const room = (made.libp2p.services.chat as Chat).room('lobby', { nickname, ...init })
  const seen: string[] = []
  const tell = (text: string): void => {
    seen.push(text)
    changed()
  }
  room.addEventListener('message', ({ detail }) =>
    tell(`${detail.nickname}: ${detail.text}${detail.past ? ' (past)' : ''}`)
  )
  room.addEventListener('join', ({ detail }) => tell(`+${detail.nickname}`))
  room.addEventListener('leave', ({ detail }) => tell(`-${detail.nickname} ${detail.reason}`))
  return { host: made, room, seen }
}

const names = ({ room }: Guest): string[] => room.members.map(({ nickname }) => nickname).sort()

describe('a room', () => {
  it('is for all who name it, whether connected or not: who is here, what they say, who has left', async () => {
    const [ana, leo, ming] = await Promise.all([guest('ana'), guest('leo'), guest('小明')])
    await line(ana.host, leo.host, ming.host)
    await until('everyone to be here', () => [ana, leo, ming].every(({ room }) => room.members.length === 2))
    expect(names(ana)).toEqual(['leo', '小明'])
    await ana.room.say('hello')
    await until('the greeting', () => ming.seen.includes('ana: hello') && leo.seen.includes('ana: hello'))
    expect(ming.room.messages).toEqual([
      { sender: ana.host.libp2p.peerId.toString(), nickname: 'ana', text: 'hello', clock: expect.any(Number) }
    ])
    await ming.room.leave()
    await until('the goodbye', () => ana.seen.includes('-小明 left') && leo.seen.includes('-小明 left'))
    expect(names(ana)).toEqual(['leo'])
    await leo.room.say('only us')
    await until('what is said to those who stay', () => ana.seen.includes('leo: only us'))
    expect(ana.seen.filter((text) => text === 'leo: only us')).toHaveLength(1)
  })

  it('tells a newcomer what was said before, in the order that all have, and what was said to nobody', async () => {
    const ana = await guest('ana')
    expect(await ana.room.say('anyone?')).toEqual({ recipients: 0 })
    const leo = await guest('leo')
    await line(ana.host, leo.host)
    await until('what was said to nobody', () => leo.seen.includes('ana: anyone? (past)'))
    await Promise.all([...'abc'].map((text) => ana.room.say(text)))
    await Promise.all([...'def'].map((text) => leo.room.say(text)))
    await until('all', () => ana.room.messages.length === 7 && leo.room.messages.length === 7)
    const ming = await guest('小明')
    await line(leo.host, ming.host)
    await until('the past', () => ming.room.messages.length === 7)
    expect(ming.room.messages).toEqual(ana.room.messages)
    expect(leo.room.messages).toEqual(ana.room.messages)
    expect(ming.seen.filter((text) => text.endsWith('(past)'))).toHaveLength(7)
    expect(names(ming)).not.toContain('')
  })

  it('tells what is said now though nothing of it is kept', async () => {
    const [ana, leo] = [await guest('ana'), await guest('leo', { history: 0 })]
    await line(ana.host, leo.host)
    await until('both to be here', () => [ana, leo].every(({ room }) => room.members.length === 1))
    await ana.room.say('hello')
    await until('the greeting', () => leo.seen.includes('ana: hello'))
    expect(leo.room.messages).toEqual([])
  })

  it('misses one who is killed twelve seconds after the connection, and goes on', async () => {
    const clock = new HandClock(Date.now())
    const [ana, leo] = await Promise.all([guest('ana', {}, clock), guest('leo', {}, clock)])
    await line(ana.host, leo.host)
    await expect
      .poll(() => {
        clock.turn(1_000)
        return ana.room.members.length + leo.room.members.length
      })
      .toBe(2)
    const gone = new Promise<void>((resolve) => ana.host.libp2p.addEventListener('peer:disconnect', () => resolve()))
    for (const connection of leo.host.libp2p.getConnections()) connection.abort(new Error('killed'))
    await gone
    clock.turn(11_000)
    expect(ana.seen).toEqual(['+leo'])
    clock.turn(2_000)
    expect(ana.seen).toEqual(['+leo', '-leo silent'])
  })

  it('is left with a goodbye when the host stops, and can be entered again', async () => {
    const [ana, leo] = await Promise.all([guest('ana'), guest('leo')])
    await line(ana.host, leo.host)
    await until('both', () => ana.room.members.length + leo.room.members.length === 2)
    await leo.host.libp2p.stop()
    await until('the goodbye', () => ana.seen.includes('-leo left'))
    await expect(leo.room.say('too late')).rejects.toMatchObject({ name: 'ConfigError' })
    await leo.host.libp2p.start()
    const again = (leo.host.libp2p.services.chat as Chat).room('lobby')
    expect(again.members).toEqual([])
  })

  it('cannot be what does not work', async () => {
    const { host: made } = await guest('ana')
    const service = made.libp2p.services.chat as Chat
    expect(() => service.room('lobby')).toThrow("we are in 'lobby' already")
    expect(() => service.room('Lobby')).toThrow(expect.objectContaining({ name: 'ConfigError', option: 'name' }))
    expect(() => service.room('a', { nickname: 'x'.repeat(33) })).toThrow(
      expect.objectContaining({ option: 'nickname' })
    )
    expect(() => service.room('b', { history: 1_001 })).toThrow(expect.objectContaining({ option: 'history' }))
    const room = service.room('c')
    await expect(room.say('')).rejects.toMatchObject({ option: 'text' })
    await expect(room.say('é'.repeat(4_097))).rejects.toMatchObject({ option: 'text' })
    await expect(room.say('\ud800')).rejects.toMatchObject({ option: 'text' })
    const many = await Promise.allSettled(Array.from({ length: 200 }, async () => room.say('x')))
    expect(many.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(100)
    expect(many.at(-1)).toMatchObject({ reason: { name: 'BusyError' } })
  })
})

describe('strangers in a room', () => {
  let key: PrivateKey
  beforeAll(async () => {
    key = await generateKeyPair('Ed25519')
  })
  const message = async (
    given: Partial<{ kind: number; clock: number; name: string; text: string }> = {},
    topic = TOPIC
  ) => sign(key, topic, { kind: 1, clock: Date.now(), name: 'eve', text: 'hi', ...given })

  /** What becomes of raw messages, in order. */
  async function judged(...messages: Uint8Array[]): Promise<{ ana: Guest; results: string[] }> {
    // time stands still: how fast they come does not matter
    const [ana, evil] = await Promise.all([guest('ana', {}, new HandClock(Date.now())), host()])
    const topic = evil.gossip.topic('chat.lobby', { maxBytes: MAX_MESSAGE_BYTES })
    await line(ana.host, evil)
    await until('a way to send', () => topic.peers.length === 1)
    for (const [index, bytes] of messages.entries()) {
      await topic.publish(bytes)
      await until(`verdict ${index}`, () => ana.host.judge.results.length > index)
    }
    return { ana, results: ana.host.judge.results }
  }

  it('are not believed: what is not signed by its sender for this room is refused', async () => {
    const good = await message()
    const other = await message({}, '/blockwire/test-00000000/chat.other/1')
    const fields = RoomMessage.decode(await message({ text: 'never sent' }))
    const somebody = await generateKeyPair('Ed25519')
    const { ana, results } = await judged(
      good,
      other,
      RoomMessage.encode({ ...fields, text: 'bye' }),
      RoomMessage.encode({ ...fields, clock: fields.clock + 1 }),
      RoomMessage.encode({ ...fields, sender: new Uint8Array(publicKeyToProtobuf(somebody.publicKey)) }),
      Uint8Array.of(...good, 0x40, 1),
      Uint8Array.of(1, 2, 3),
      RoomMessage.encode({ ...fields, kind: 4 }),
      await message({ name: 'x'.repeat(33) }),
      await message({ text: '' })
    )
    expect(results[0]).toBe('accept')
    expect(results.slice(1)).toEqual(new Array(9).fill('reject malformed'))
    expect(ana.seen).toEqual(['+eve', 'eve: hi'])
  })

  it('cannot move time: a clock more than five minutes from ours is left aside', async () => {
    const { ana, results } = await judged(
      await message({ clock: Date.now() + 310_000 }),
      await message({ clock: Date.now() - 310_000 }),
      await message({ clock: Date.now() + 200_000, text: 'ahead' })
    )
    expect(results).toEqual(['ignore future', 'ignore future', 'accept'])
    await ana.room.say('after that')
    expect(ana.room.messages.map(({ text }) => text)).toEqual(['ahead', 'after that'])
  })

  it('cannot flood it: a hundred messages at once are taken from a sender', async () => {
    const now = Date.now()
    const flood = await Promise.all(
      Array.from({ length: 130 }, (_, index) => message({ clock: now + index, text: `${index}` }))
    )
    const { ana, results } = await judged(...flood)
    expect(results.filter((result) => result === 'ignore full')).toHaveLength(30)
    expect(ana.room.messages).toHaveLength(100)
  }, 60_000)
})

describe('the order of messages', () => {
  it('is the same whatever came first, and the last ones are kept', () => {
    const placed = fc.record({ clock: fc.nat(5), sender: fc.constantFrom('a', 'b', 'c'), id: fc.nat(50).map(String) })
    fc.assert(
      fc.property(
        fc
          .uniqueArray(placed, { selector: ({ id }) => id, maxLength: 30 })
          .chain((all) => fc.tuple(fc.shuffledSubarray(all, { minLength: all.length }), fc.constant(all))),
        ([shuffled, all]) => {
          const [one, other] = [
            new History<{ clock: number; sender: string; id: string }>(10),
            new History<{ clock: number; sender: string; id: string }>(10)
          ]
          for (const each of all) one.add(each)
          for (const each of shuffled) other.add(each)
          for (const each of shuffled) expect(other.add(each)).toBe(false)
          expect(one.messages).toEqual(other.messages)
          expect(one.messages.length).toBe(Math.min(10, all.length))
        }
      )
    )
  })
})

describe('members', () => {
  const heard = (sender: string, clock: number, leaves = false) => ({
    sender,
    name: sender,
    clock,
    id: `${clock}`,
    leaves
  })

  it('are gone after 35 s of silence, or with a goodbye, whatever comes late', () => {
    const members = new Members()
    expect(members.hear(heard('ana', 1), 0)).toBe('joins')
    expect(members.hear(heard('ana', 2), 30_000)).toBeUndefined()
    expect(members.expire(64_999)).toEqual([])
    expect(members.expire(65_000)).toEqual([{ sender: 'ana', name: 'ana' }])
    expect(members.hear(heard('ana', 3), 70_000)).toBe('joins')
    expect(members.hear(heard('ana', 5, true), 70_001)).toBe('leaves')
    expect(members.hear(heard('ana', 4), 70_002)).toBeUndefined()
    expect(members.here).toEqual([])
  })

  it('are at most 256, of whom nobody who is here makes room', () => {
    const members = new Members()
    for (let n = 0; n < 256; n++) members.hear(heard(`m${n}`, 1), n)
    expect(members.admits('one more', 300)).toBe(false)
    members.hear(heard('m7', 2, true), 301)
    expect(members.admits('one more', 302)).toBe(true)
    expect(members.here).toHaveLength(255)
  })

  it('have all of the past that was said before what is heard first taken, more of it than is remembered', () => {
    const members = new Members()
    members.hear(heard('ana', 1_000), 0)
    for (let clock = 1; clock <= 100; clock++) {
      expect(members.knows(heard('ana', clock)), `message ${clock}`).toBe(false)
      members.recall(heard('ana', clock), 0)
      expect(members.knows(heard('ana', clock))).toBe(true)
    }
    // what was forgotten is not taken for new
    for (let clock = 1; clock <= 100; clock++) expect(members.knows(heard('ana', clock)), `message ${clock}`).toBe(true)
    expect(members.knows(heard('ana', 1_000))).toBe(true)
  })

  it('have each message known once, and all that is older than their last 64', () => {
    const members = new Members()
    for (let clock = 1; clock <= 100; clock++) members.hear(heard('ana', clock), 0)
    for (const clock of [1, 36, 37, 100]) expect(members.knows({ sender: 'ana', clock, id: `${clock}` })).toBe(true)
    expect(members.knows({ sender: 'ana', clock: 50, id: 'another' })).toBe(false)
    expect(members.knows({ sender: 'ana', clock: 36, id: 'another' })).toBe(true)
    expect(members.knows({ sender: 'leo', clock: 1, id: '1' })).toBe(false)
  })
})

describe('a signed message', () => {
  it('names its sender by the key, and reads what it wrote', async () => {
    const key = await generateKeyPair('Ed25519')
    const bytes = await sign(key, TOPIC, { kind: 1, clock: 7, name: '小明', text: 'a\nb' })
    const { peer, ...rest } = decode(bytes, TOPIC)
    expect(peer.equals(peerIdFromPrivateKey(key))).toBe(true)
    expect(rest).toMatchObject({ kind: 1, clock: 7, name: '小明', text: 'a\nb' })
  })

  it('is read or refused, whatever the bytes', async () => {
    const good = await sign(await generateKeyPair('Ed25519'), TOPIC, { kind: 1, clock: 7, name: 'ana', text: 'hello' })
    const spoilt = fc.tuple(fc.nat(good.byteLength - 1), fc.nat(255)).map(([at, byte]) => good.with(at, byte))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), spoilt), (bytes) => {
        try {
          expect(decode(bytes, TOPIC).bytes).toBe(bytes)
        } catch (err) {
          expect(err).toMatchObject({ name: 'MalformedError', fault: 'protocol' })
        }
      }),
      { numRuns: 500 }
    )
  })
})
