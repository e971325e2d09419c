import { newAgent } from '../agents/agent.ts'
import { hasAdminKey } from '../agents/keys.ts'
import { findAgent } from '../agents/registry.ts'
import { patiently } from '../store/patience.ts'
import type { Db } from '../store/tx.ts'
import type { Operations } from './operations.ts'
import { createApiKey, registerAgent } from './registry.ts'

/** The gate as the author of what it does by itself. */
const ITSELF = { keyId: 'portcullis', role: 'admin', name: 'portcullis', agentId: null } as const

/** What the gate makes by itself at a first start: an admin, and the agent of the demo. */
export class Bootstrap {
  readonly #db: Db
  readonly #operations: Operations
  readonly #hasEnvironmentAdmin: boolean

  constructor(db: Db, operations: Operations, tokens: readonly { readonly role: string }[]) {
    this.#db = db
    this.#operations = operations
    this.#hasEnvironmentAdmin = tokens.some(({ role }) => role === 'admin')
  }

  /** Makes sure an agent exists, for the demo; gives a new key only when it is new. */
  async ensureAgent(name: string, roles: readonly string[], owner: string): Promise<string | null> {
    const existing = await findAgent(this.#db, name)
    if (existing) return null
    const { key } = await patiently(() =>
      this.#operations.write((tx) => registerAgent(tx, newAgent(name, { roles, owner }), ITSELF)),
    )
    return key
  }

  /** Creates a key on behalf of the gate itself, such as the first admin key. */
  async issueKey(
    role: 'admin' | 'approver' | 'agent',
    name: string,
    agent: string | null,
  ): Promise<string> {
    const { key } = await patiently(() =>
      this.#operations.write((tx) => createApiKey(tx, { role, name, agent }, ITSELF)),
    )
    return key
  }

  async hasAdmin(): Promise<boolean> {
    if (this.#hasEnvironmentAdmin) return true
    return hasAdminKey(this.#db)
  }
}
