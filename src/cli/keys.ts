import { print } from './exit.ts'
import { call, type ClientOptions } from './gate-client.ts'

export async function listKeys(options: ClientOptions): Promise<void> {
  const response = await call(options, 'GET', '/api/v1/keys')
  const { keys } = (await response.json()) as { keys: Record<string, unknown>[] }
  for (const { id, role, name, revoked_at } of keys) {
    print([id, role, name, revoked_at ? 'revoked' : 'live'].join('\t'))
  }
}

export async function createKey(
  options: ClientOptions & { role: string; name: string; agent?: string },
): Promise<void> {
  const { role, name, agent } = options
  const response = await call(options, 'POST', '/api/v1/keys', {
    role,
    name,
    ...(agent ? { agent } : {}),
  })
  print(((await response.json()) as { key: string }).key)
}

export async function revokeKey(id: string, options: ClientOptions): Promise<void> {
  await call(options, 'DELETE', `/api/v1/keys/${encodeURIComponent(id)}`)
}
