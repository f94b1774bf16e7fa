import { toHex } from '../hex.js'
import { CLAIM_MS, CLAIM_TRIES, MAX_HEADERS_AHEAD, REST_MS, RETRY_MAX_MS } from './limit.js'
import { beats, type ChainView, type Source, shortOf } from './source.js'

/**
 * What a peer's claim is worth: `none` it makes none · `met` no more work than ours · `known` its headers are here, its bodies
 * are the window's business · `parked` its headers are here, but nobody delivers its bodies or they are invalid · `open` not yet
 * proven · `too-little` it claims less than any chain must have · `ahead` proven so far that its bodies must come first.
 */
export type Standing = 'none' | 'met' | 'known' | 'parked' | 'open' | 'too-little' | 'ahead'

export function standing(
  source: Source,
  view: ChainView,
  here = source.claim && view.has(source.claim.hash)
): Standing {
  const { claim } = source
  if (!source.full || claim == null) return 'none'
  if (here != null) {
    const proven = { hash: claim.hash, work: view.locate(claim.hash)?.work ?? 0n }
    if (here === 'valid' || !beats(view, proven, view.head)) return 'met'
    return here === 'invalid' || beats(view, proven, view.target) ? 'parked' : 'known'
  }
  if (!beats(view, claim, view.head)) return 'met'
  if (shortOf(view, claim) != null) return 'too-little'
  if (source.last != null && source.last.height - view.head.height >= MAX_HEADERS_AHEAD) return 'ahead'
  return 'open'
}

/** Brings a source's record up to date with what the chain knows by now. */
export function settle(source: Source, view: ChainView, now: number, version: number): Standing {
  const state = standing(source, view, source.here(view, version))
  if (state === 'known' || (state === 'met' && source.claim!.ahead && view.has(source.claim!.hash) != null))
    prove(source)
  if (state !== 'open' && state !== 'ahead') source.presync = undefined
  if (state !== 'open') source.openSince = undefined
  else source.openSince ??= now
  if (state === 'ahead' && source.last!.work <= view.head.work) {
    // they cost memory and lead nowhere: this peer's headers are not wanted any more
    refute(source, `${MAX_HEADERS_AHEAD} headers with no more work than ours`, now)
    source.nextTry = Number.POSITIVE_INFINITY
  }
  return state
}

/** Does it hold up `live`? Refuted claims do not, nor those that were given time enough, unless there is nothing better to do. */
export function holdsUp(source: Source, state: Standing, now: number, idle: boolean): boolean {
  if (state !== 'open' || source.doubt != null) return false
  return idle || (source.claim!.due <= now && now - (source.openSince ?? now) < CLAIM_MS)
}

/**
 * Why nothing goes on: a peer follows a heavier branch that forks off too deep. Which one is right only the operator can say, and until then
 * nothing is built on ours.
 */
export function splitReason(view: ChainView, sources: Source[]): string | undefined {
  const { split } = view
  if (split == null || !sources.some(({ claim }) => claim != null && claim.work >= split.work)) return undefined
  const branch = `a heavier branch (${toHex(split.hash)}) forks off ${split.depth} blocks back, at ${split.forkHeight}`
  return `split: ${branch}; chain.acceptSplit(hash) follows it`
}

/** One more answer that brought its claim no nearer. */
export function fruitless(source: Source, now: number, why: string): void {
  source.tries++
  source.presync = undefined
  if (source.tries >= CLAIM_TRIES) refute(source, why, now)
  else source.nextTry = now + REST_MS
}

/** A claim that was ahead of us came true. One lie weighs more than one truth, or a liar would alternate. */
function prove(source: Source): void {
  if (source.claim!.proven) return
  source.claim!.proven = true
  source.apart = false
  source.tries = Math.max(0, source.tries - 1)
  source.debt = Math.max(0, source.debt - 1)
  if (source.debt > 0) return
  source.doubt = undefined
  if (Number.isFinite(source.nextTry)) source.nextTry = 0
}

/** From now on its claims are looked at seldom and hold up nothing. */
export function refute(source: Source, why: string, now: number): void {
  source.tries = Math.max(source.tries, CLAIM_TRIES)
  source.doubt = why
  source.debt = Math.min(64, 2 ** ++source.refuted)
  source.last = undefined
  source.presync = undefined
  source.nextTry = now + Math.min(RETRY_MAX_MS, REST_MS * 2 ** (source.tries - CLAIM_TRIES + 1))
}

/** Why no peer can bring us further, where all that claim more than we have begin above what we need, and nobody else is here. */
export function outOfReach(full: [Source, Standing][], height: number): string | undefined {
  const lowest = Math.min(...full.map(([source]) => source.lowest))
  // whoever begins above his own head serves nothing, and means nothing
  const ahead = full.some(([{ claim, lowest }, standing]) => standing === 'open' && lowest <= claim!.height)
  return ahead && lowest > height ? unserved(height, lowest) : undefined
}

export function unserved(height: number, lowest: number): string {
  return `no connected peer serves block ${height}: the lowest offered is ${lowest}`
}
