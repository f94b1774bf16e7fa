/**
 * A chat in a plain libp2p host, without a chain: conversations with those who are dialled or dial us, and a room for everyone in it. What
 * happens is reported as events. `blockwire chat` is a shell around this folder.
 */
import { type Conversation, type EndReason, MAX_LINE_BYTES, type Room } from 'blockwire/chat'
import { type ChatHostInit, chatHost } from './host.js'

/** Peers are their ID string. Texts and names are as they came: show them through `printable`. */
export type ChatEvent =
  | { event: 'conversation'; peer: string; delivery: 'confirmed' | 'unconfirmed' }
  | { event: 'line'; peer: string; text: string }
  | { event: 'away'; peer: string }
  | { event: 'back'; peer: string }
  | { event: 'closed'; peer: string; reason: EndReason }
  | { event: 'join'; peer: string; name: string }
  | { event: 'message'; peer: string; name: string; text: string; time: number; past: boolean }
  | { event: 'leave'; peer: string; name: string; reason: 'left' | 'silent' }
  | { event: 'seed'; address: string; state: string; error?: string; nextMs?: number }

export interface ChatInit extends Omit<ChatHostInit, 'introductions'> {
  /** The room to be in, and what others see us as there. */
  room?: string
  name?: string
  /** Gets every event, those of one conversation in order. The next line of a peer is read when this one is done. */
  report(event: ChatEvent): void | Promise<void>
}

export type OpenChat = Awaited<ReturnType<typeof openChat>>

/** Starts the host. Rejects when it cannot listen. */
export async function openChat({ report, room: roomName, name, ...init }: ChatInit) {
  const host = await chatHost({ ...init, introductions: roomName != null })
  const { chat: service, peers } = host.services
  let stopping = false

  async function listenTo(conversation: Conversation): Promise<void> {
    const peer = conversation.peer.toString()
    conversation.addEventListener('away', () => void report({ event: 'away', peer }))
    conversation.addEventListener('back', () => void report({ event: 'back', peer }))
    await report({ event: 'conversation', peer, delivery: conversation.delivery })
    for await (const text of conversation) await report({ event: 'line', peer, text })
    // The other side has no more to say, and we talk to nobody who does not.
    const { reason } = await conversation.close()
    await report({ event: 'closed', peer, reason })
  }

  service.addEventListener('conversation', ({ detail }) => void listenTo(detail))
  peers.addEventListener('seed', ({ detail: { address, state, error, nextMs } }) => {
    // that they go when we do is no news
    if (state === 'dialling' || stopping) return
    void report({
      event: 'seed',
      address,
      state,
      ...(error == null ? {} : { error }),
      ...(nextMs == null ? {} : { nextMs })
    })
  })
  await host.start()
  const room = roomName == null ? undefined : enter(service.room(roomName, { nickname: name ?? '' }), report)

  return {
    peerId: host.peerId.toString(),
    multiaddrs: host.getMultiaddrs().map(String),
    room,
    /** How many can hear us: open conversations, and members of the room. */
    get size(): number {
      return service.conversations.length + (room?.members.length ?? 0)
    },
    /** Those with whom there is a conversation. */
    get conversations(): { peer: string; connected: boolean; waiting: number }[] {
      return service.conversations.map(({ peer, connected, waiting }) => ({
        peer: peer.toString(),
        connected,
        waiting
      }))
    },
    /** Open connections. */
    get connections(): { peer: string; address: string; direction: string }[] {
      return host.getConnections().map(({ remotePeer, remoteAddr, direction }) => ({
        ...{ peer: remotePeer.toString(), address: remoteAddr.toString(), direction }
      }))
    },
    /** Begins a conversation with the peer at a multiaddr. Rejects with an error that says why it cannot. */
    async join(address: string): Promise<void> {
      void listenTo(await service.open(address))
    },
    /**
     * Says a line to the room, and to everyone with whom there is a conversation, once to each. Resolves with how many have it: those to
     * whom the room handed it on, and peers where it has arrived (or whose stream has taken it). Rejects with ConfigError for what is no line,
     * and with BusyError when the room has heard too much from us; then it was said to nobody.
     */
    async say(text: string): Promise<number> {
      const heard = room == null ? 0 : (await room.say(text)).recipients
      const to = new Map(service.conversations.map((conversation) => [conversation.peer.toString(), conversation]))
      const sent = await Promise.allSettled([...to.values()].map(async (conversation) => conversation.send(text)))
      const refused = sent.find((one) => one.status === 'rejected' && one.reason.name === 'ConfigError')
      if (refused?.status === 'rejected') throw refused.reason
      return heard + sent.filter(({ status }) => status === 'fulfilled').length
    },
    /** Ends every conversation once all is said. Resolves with how many were lost before. */
    async finish(): Promise<number> {
      const endings = await Promise.all(service.conversations.map((conversation) => conversation.close()))
      return endings.filter(({ reason }) => reason === 'lost' || reason === 'slow').length
    },
    /** Says goodbye to everyone and stops the host, for at most about a second. */
    async stop(): Promise<void> {
      stopping = true
      const cut = setTimeout(() => {
        for (const connection of host.getConnections()) connection.abort(new Error('the host stops'))
      }, 1_000)
      await host.stop()
      clearTimeout(cut)
    }
  }
}

/** Lines of the greatest length that may be said before one of them has arrived: so many a conversation keeps. */
export const LINES_AHEAD = Math.floor((1 << 20) / MAX_LINE_BYTES) - 1

function enter(room: Room, report: ChatInit['report']): Room {
  room.addEventListener(
    'join',
    ({ detail: { peer, nickname } }) => void report({ event: 'join', peer, name: nickname })
  )
  room.addEventListener('message', ({ detail: { sender, nickname, text, clock, past } }) => {
    void report({ event: 'message', peer: sender, name: nickname, text, time: clock, past })
  })
  room.addEventListener('leave', ({ detail: { peer, nickname, reason } }) => {
    void report({ event: 'leave', peer, name: nickname, reason })
  })
  return room
}
