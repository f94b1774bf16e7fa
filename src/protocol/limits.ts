import type { AnswerLimits } from './answer.js'
import type { ProtocolDefinition, ProtocolLimits } from './protocol.js'

/** A definition with all defaults filled in. */
export type Settled<Req, Item> = Required<ProtocolDefinition<Req, Item>> & { limits: Required<ProtocolLimits<Req>> }

/** What the answer to this request may take. */
export function limitsFor<Req, Item>({ limits }: Settled<Req, Item>, request: Req): AnswerLimits {
  const of = (limit: number | ((request: Req) => number)): number =>
    typeof limit === 'number' ? limit : limit(request)
  return { itemBytes: of(limits.itemBytes), items: of(limits.items), answerBytes: of(limits.answerBytes) }
}
