import { Rate } from '../rate.js'

/** How long after its last message a sender counts as here, in ms. Everyone says so every `HERE_MS`. */
export const SILENT_MS = 35_000
export const HERE_MS = 10_000
/** The same for one whose connection to us is lost: it may still be heard through others. */
const LOST_MS = 12_000
/** Senders that are remembered. */
const MAX_MEMBERS = 256
/** Messages of a sender that are told from new ones by themselves; older ones by their clock. */
const RECENT = 64
/** Messages of one sender: 10 a second, on average over 10 s. */
const PER_SECOND = 10
const RATE_MS = 10_000

interface Member {
  name: string
  here: boolean
  /** When it last said something, and when it counts as gone. */
  heard: number
  until: number
  /** IDs of its last messages, with their clocks, in the order in which they came. */
  recent: Map<string, number>
  /** Nothing at or before this clock is new. */
  floor: number
  rate: Rate
}

/** What of a message counts here. */
export interface Heard {
  sender: string
  name: string
  clock: number
  id: string
  /** It says that it leaves. */
  leaves: boolean
}

/** Who is in a room, and what of them is new. Pure: time is passed in. */
export class Members {
  readonly #members = new Map<string, Member>()

  /** Those who are here. */
  get here(): { sender: string; name: string }[] {
    return [...this.#members].filter(([, { here }]) => here).map(([sender, { name }]) => ({ sender, name }))
  }

  /** Was this message heard before, or is it older than what we remember? */
  knows({ sender, id, clock }: Pick<Heard, 'sender' | 'id' | 'clock'>): boolean {
    const member = this.#members.get(sender)
    return member != null && (clock <= member.floor || member.recent.has(id))
  }

  /** Counts a message against its sender's rate. False: leave it aside. */
  admits(sender: string, now: number): boolean {
    const member = this.#member(sender, now)
    return member?.rate.take(now) ?? false
  }

  /** Something new of a member. What that changes. */
  hear({ sender, name, clock, id, leaves }: Heard, now: number): 'joins' | 'leaves' | undefined {
    const member = this.#member(sender, now)
    if (member == null) return undefined
    // what was said before the goodbye may come after it
    const latest = clock > Math.max(member.floor, ...member.recent.values())
    this.#remember(member, id, clock)
    if (!latest) return undefined
    const was = member.here
    Object.assign(member, { name, heard: now, until: now + SILENT_MS, here: !leaves })
    if (was === member.here) return undefined
    return leaves ? 'leaves' : 'joins'
  }

  /** Something of the past, which does not say that its sender is here. */
  recall({ sender, name, clock, id }: Omit<Heard, 'leaves'>, now: number): void {
    const member = this.#member(sender, now)
    if (member == null) return
    if (member.name === '') member.name = name
    this.#remember(member, id, clock)
  }

  /** Our connection to it is gone. */
  lose(sender: string, now: number): void {
    const member = this.#members.get(sender)
    if (member?.here) member.until = Math.min(member.until, now + LOST_MS)
  }

  /** Those who have been silent for too long: they are gone. */
  expire(now: number): { sender: string; name: string }[] {
    const gone = []
    for (const [sender, member] of this.#members) {
      if (!member.here || member.until > now) continue
      member.here = false
      gone.push({ sender, name: member.name })
    }
    return gone
  }

  #remember(member: Member, heard: string, at: number): void {
    member.recent.set(heard, at)
    if (member.recent.size <= RECENT) return
    // the oldest by its clock: what is recalled of the past comes after what was heard before
    const [id, clock] = [...member.recent].reduce((a, b) => (b[1] < a[1] ? b : a))
    member.recent.delete(id)
    member.floor = Math.max(member.floor, clock)
  }

  /** Nobody who is here makes room for another. */
  #member(sender: string, now: number): Member | undefined {
    const known = this.#members.get(sender)
    if (known != null) return known
    if (this.#members.size >= MAX_MEMBERS && !this.#forget()) return undefined
    const made: Member = {
      ...{ name: '', here: false, heard: now, until: now, floor: -1 },
      recent: new Map(),
      rate: new Rate(PER_SECOND, RATE_MS, now)
    }
    this.#members.set(sender, made)
    return made
  }

  #forget(): boolean {
    let oldest: [string, Member] | undefined
    for (const each of this.#members) {
      if (!each[1].here && each[1].heard < (oldest?.[1].heard ?? Number.POSITIVE_INFINITY)) oldest = each
    }
    return oldest != null && this.#members.delete(oldest[0])
  }
}
