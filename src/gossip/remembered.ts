import type { RawGossipsub } from './raw.js'

/** What gossipsub keeps of topics of low priority for peers that ask for it. */
const MAX_BYTES = 32 * 1_048_576
/** An entry counts at least this much, so that there are never more than 32,768. */
const MIN_BYTES = 1_024

interface Kept {
  id: string
  bytes: number
}

/**
 * Bounds what gossipsub remembers of messages to answer peers that ask for them. It counts heartbeats, not bytes, and has to keep what
 * waits for its verdict for half a minute: at 50 MB of transactions a second that would be 1.5 GB. Blocks are not counted.
 */
export function boundRemembered(pubsub: RawGossipsub, isBounded: (topic: string) => boolean): void {
  const { mcache } = pubsub
  const put = mcache.put.bind(mcache)
  let kept: Kept[] = []
  let total = 0
  mcache.put = (id, message, validated) => {
    if (!put(id, message, validated)) return false
    if (!isBounded(message.topic)) return true
    const bytes = Math.max(MIN_BYTES, message.data?.byteLength ?? 0)
    kept.push({ id: id.msgIdStr, bytes })
    total += bytes
    if (total > MAX_BYTES) shed()
    return true
  }
  /** Down to three quarters, oldest first, so that it is not done for each. What waits for its verdict stays: the topics bound that. */
  const shed = (): void => {
    const left: Kept[] = []
    for (const entry of kept) {
      const message = mcache.msgs.get(entry.id)
      if (message?.validated === false || (message != null && total <= (MAX_BYTES * 3) / 4)) {
        left.push(entry)
        continue
      }
      if (message != null) mcache.remove(entry.id)
      total -= entry.bytes
    }
    kept = left
  }
}
