import type { Config } from '../config.ts'
import { noCreate, NOT_PERMITTED } from './database-rights.ts'
import { CliError, EXIT } from './exit.ts'
import { policyFailure } from './policy-report.ts'
import { portCause } from './port.ts'

// Why a start failed, in one line: what is wrong and what to do about it. A stack trace says where in the gate it was noticed,
// which helps nobody whose server asks for TLS; it is for what nobody expected.

/** Errors whose message says cause and way out by itself. */
const SAID = new Set([
  'DATA_DIR_IN_USE',
  'DATA_DIR_DAMAGED',
  'DATABASE_GONE',
  'DATABASE_UNFIT',
  'AUDIT_KEY_LOST',
  'AUDIT_KEY_UNREADABLE',
  'LOG_FILE',
  'DATABASE_NEWER',
  'EXT_AUTHZ_GRPC',
])

interface Thrown {
  readonly code?: string
  readonly syscall?: string
  readonly message: string
  readonly port?: number
  readonly address?: string
  readonly path?: string
  readonly details?: { readonly diagnostics?: never }
}

/** The error as one that is said in a line, or itself where nothing is known of it. */
export function explain(error: unknown, config: Config): unknown {
  const thrown = error as Thrown
  if (thrown.details?.diagnostics) {
    return policyFailure(config.policyDir, thrown.details.diagnostics)
  }
  const cause = causeOf(error, config)
  return cause === null ? error : new CliError(EXIT.internal, cause)
}

/** What is wrong and what to do about it; null where nothing is known of it. */
export function causeOf(error: unknown, config: Config): string | null {
  const { code = '', syscall, message, address, port } = error as Thrown
  if (SAID.has(code)) return message
  if (syscall === 'listen') return portCause(code, address ?? config.host, port ?? config.port)
  if (isOfDirectory(error as Thrown, config)) {
    return `the data directory ${config.dataDir} cannot be made or used (${code}); set DATA_DIR`
  }
  return config.databaseUrl === null ? null : databaseCause(error as Thrown, config)
}

const isOfDirectory = ({ syscall, path = '' }: Thrown, { dataDir }: Config): boolean =>
  syscall === 'mkdir' || (syscall !== undefined && path.startsWith(dataDir))

type Named = (names: { readonly user: string; readonly database: string }) => string

const NOT_REACHED: Named = () => 'cannot be reached'
/** By SQLSTATE, or the code of the system. */
const DATABASE: Readonly<Record<string, Named>> = {
  ECONNREFUSED: NOT_REACHED,
  ENOTFOUND: NOT_REACHED,
  EAI_AGAIN: NOT_REACHED,
  ETIMEDOUT: NOT_REACHED,
  EHOSTUNREACH: NOT_REACHED,
  ECONNRESET: NOT_REACHED,
  '3D000': ({ database }) => `has no database ${database}; as its owner: createdb ${database}`,
  '28P01': ({ user }) => `does not take the password of ${user}`,
  '28000': ({ user }) => `does not let ${user} in: there is no such role, or pg_hba.conf says no`,
  '53300': ({ user }) =>
    `has no connection left for ${user}; a gate needs 20: raise max_connections, or the limit of the role`,
  '25006': () => 'is read only: a replica, or default_transaction_read_only',
  '3F000': ({ user }) => `has no schema to make tables in: look at the search_path of ${user}`,
}
const SQLSTATE = /^[0-9A-Z]{5}$/

function databaseCause({ code = '', message }: Thrown, config: Config): string | null {
  if (code === NOT_PERMITTED) return noCreate(config)
  const known = DATABASE[code] ?? textCause(message)
  if (known)
    return `the database ${known(namesIn(config))} (${code || 'DATABASE_URL'}); check DATABASE_URL`
  return SQLSTATE.test(code) ? `the database refuses: ${message} (${code})` : null
}

// Of these the driver says no more than a text.
function textCause(message: string): Named | undefined {
  if (/does not support SSL/.test(message)) return () => 'speaks no TLS, which sslmode asks for'
  if (/password must be a (?:non-empty )?string/.test(message)) {
    return ({ user }) => `asks for a password of ${user}, and DATABASE_URL has none`
  }
  if (/timeout expired|Connection terminated/.test(message)) return NOT_REACHED
  return undefined
}

function namesIn({ databaseUrl }: Config): { user: string; database: string } {
  const { username = '', pathname = '' } = databaseUrl ? new URL(databaseUrl) : {}
  return { user: username || 'USER', database: pathname.slice(1) || 'DATABASE' }
}
