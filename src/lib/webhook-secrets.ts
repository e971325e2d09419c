import { bytesOfBase64 } from './base64.ts'

const PREFIX = 'whsec_'

/**
 * The keys of `WEBHOOK_SECRET`: several, parted by spaces, while one replaces another. `whsec_<base64>` is
 * how Standard Webhooks gives secrets out; a text without the prefix is the key itself.
 * @throws RangeError for a `whsec_` secret whose base64 no receiver could read
 */
export function secretsOf(text: string): Buffer[] {
  return text
    .split(/\s+/)
    .filter((part) => part !== '')
    .map(secretOf)
}

function secretOf(part: string): Buffer {
  if (!part.startsWith(PREFIX)) return Buffer.from(part)
  const bytes = bytesOfBase64(part.slice(PREFIX.length))
  if (!bytes || bytes.length === 0) throw new RangeError('what follows `whsec_` is not base64')
  return bytes
}
