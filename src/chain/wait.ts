import type { TypedEventTarget } from 'main-event'
import type { ChainEvents } from './events.js'
import type { BaseHeader, Located } from './rules.js'

/** See `Chain.waitFor`. */
export function waitFor<Header extends BaseHeader>(
  chain: TypedEventTarget<ChainEvents<Header>> & { readonly head: Located<Header> },
  height: number,
  signal?: AbortSignal
): Promise<Located<Header>> {
  const { promise, resolve, reject } = Promise.withResolvers<Located<Header>>()
  const onHead = (): void => {
    if (chain.head.height >= height) resolve(chain.head)
  }
  const onAbort = (): void => reject(signal?.reason)
  chain.addEventListener('head', onHead)
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  else onHead()
  return promise.finally(() => {
    chain.removeEventListener('head', onHead)
    signal?.removeEventListener('abort', onAbort)
  })
}
