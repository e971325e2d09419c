import type { EffectClass } from '../../model/tool.ts'

/** Words of a POST that say: what it does cannot be taken back. */
const FINAL: ReadonlySet<string> = new Set([
  ...['send', 'sends', 'pay', 'pays', 'payment', 'payments', 'payout', 'payouts', 'charge'],
  ...['charges', 'publish', 'publishes', 'transfer', 'transfers', 'refund', 'refunds', 'invite'],
  ...['invites', 'invitation', 'invitations'],
])

/** The effect of an operation, and from what it is guessed. */
export function guessEffect(
  method: string,
  name: string,
  path: string,
): { readonly effect: EffectClass; readonly because: string } {
  if (method === 'GET' || method === 'HEAD') return { effect: 'read', because: `from ${method}` }
  if (method === 'DELETE') return { effect: 'irreversible', because: 'from DELETE' }
  const word =
    method === 'POST' ? wordsOf(`${name} ${path}`).find((one) => FINAL.has(one)) : undefined
  if (word === undefined) return { effect: 'write', because: `from ${method}` }
  return { effect: 'irreversible', because: `from POST and the word \`${word}\`` }
}

const wordsOf = (text: string): readonly string[] =>
  text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
