import type { KeyObject } from 'node:crypto'
import type { Archive, AuditEntry, Checkpoint, Loss } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import { entryColumns, entryHash, GENESIS_HASH } from './chain.ts'
import { keyIdOf, verifyCheckpoint } from './checkpoint.ts'
import { isLost, LOSS_KIND, lossOf, verifyLoss } from './loss.ts'
import { publicKeysOf } from './manifest.ts'

// One pass over the entries with constant memory. Each is held against its own hash, the hash of the one before
// and its columns; where a signed checkpoint, archive or loss stands at its place, against that. What is beyond
// the last entry shows only by a checkpoint that is larger. Findings are cut at a number, their codes are not:
// both verdicts are made of the codes.

/** Something wrong with the record, at an entry. `seq` is the entry, or the place of a missing one. */
export interface AuditFinding {
  readonly code:
    | 'entry_altered'
    | 'column_altered'
    | 'chain_broken'
    | 'entry_missing'
    | 'out_of_order'
    | 'checkpoint_mismatch'
    | 'checkpoint_signature'
    | 'tail_missing'
    | 'no_checkpoint'
    | 'loss_signature'
    | 'malformed'
  readonly seq: string
  readonly message: string
}

/** Two verdicts: what is there is genuine (`integrity`); nothing is gone (`completeness`). */
export interface AuditVerdict {
  readonly integrity: 'ok' | 'broken'
  readonly completeness: 'ok' | 'broken' | 'unknown'
  readonly entries: number
  readonly head: string
  readonly checkpoints: number
  /** Entries up to here are covered by a checkpoint whose signature holds. */
  readonly signedSize: string
  /** Entries up to here were dropped when they were old enough, by a signed statement; '0': none. */
  readonly archivedSize: string
  /** What was lost, as somebody accepted and signed it; shown for good. */
  readonly losses: readonly AcceptedLoss[]
  readonly findings: readonly AuditFinding[]
}

/** `verified`: by a key that is known here. What another replica accepted by its own excuses nothing here. */
export type AcceptedLoss = Loss & { readonly verified: boolean }

const FINDINGS_MAX = 100
const COMPLETENESS_CODES = new Set<AuditFinding['code']>(['tail_missing', 'entry_missing'])

/**
 * Checks entries in chain order against themselves and against signed checkpoints. Needs nothing but
 * the entries, the checkpoints and the public keys, so it can run far from the gate.
 */
export class AuditVerifier {
  readonly #keys: ReadonlyMap<string, KeyObject>
  readonly #checkpoints: ReadonlyMap<string, readonly Checkpoint[]>
  readonly #archives: ReadonlyMap<string, Archive>
  readonly #genuine: readonly Checkpoint[]
  readonly #codes = new Set<AuditFinding['code']>()
  readonly #losses: AcceptedLoss[] = []
  /** Where a loss was put on record as the next entry: sizes, and the heads there. */
  readonly #cuts = new Map<string, string>()
  readonly #mismatches: Checkpoint[] = []
  readonly #findings: AuditFinding[] = []
  #seq = 0n
  #hash = GENESIS_HASH
  #archivedSize = 0n
  #entries = 0
  #signedSize = 0n
  #verified = 0

  /** `archives` say which beginning of the record was dropped on purpose. */
  constructor(
    publicKeys: readonly string[],
    checkpoints: readonly Checkpoint[],
    archives: readonly Archive[] = [],
  ) {
    const keys = publicKeys.flatMap((pem) => publicKeysOf(pem))
    this.#keys = new Map(keys.map((key) => [keyIdOf(key), key]))
    const genuine = checkpoints.filter((checkpoint) => this.#isGenuine(checkpoint))
    this.#checkpoints = groupBySize(genuine)
    this.#genuine = genuine
    const signed = archives.filter((archive) => {
      const key = this.#keys.get(archive.keyId)
      return key !== undefined && verifyCheckpoint(archive, key, 'archive')
    })
    this.#archives = new Map(signed.map((archive) => [String(archive.size), archive]))
  }

  /** Takes the next entry. */
  entry(entry: AuditEntry): void {
    if (this.#entries++ === 0) this.#begin(entry.seq)
    const expected = this.#seq + 1n
    if (entry.seq < expected) this.#find('out_of_order', entry.seq, 'stands after a later entry')
    else if (entry.seq > expected) {
      const gap = entry.seq - expected
      this.#find(
        'entry_missing',
        expected,
        gap === 1n ? 'is missing' : `and ${gap - 1n} more are missing`,
      )
    } else if (entry.prevHash !== this.#hash) {
      this.#find('chain_broken', entry.seq, 'does not continue the entry before it')
    }
    if (entryHash(entry.prevHash, entry.body) !== entry.hash) {
      this.#find('entry_altered', entry.seq, 'its body or previous hash does not match its hash')
    }
    this.#compareColumns(entry)
    if (entry.kind === LOSS_KIND) this.#lose(entry)
    this.#seq = entry.seq
    this.#hash = entry.hash
    this.#compareCheckpoints()
  }

  /** Says a line could not be read at all. */
  malformed(place: string, message: string): void {
    this.#find('malformed', place, message)
  }

  finish(): AuditVerdict {
    this.#findMismatches()
    const largest = this.#largest()
    if (this.#findings.length === FINDINGS_MAX) this.#findings.pop() // room for what is found last
    if (largest && largest.size > this.#seq) {
      const missing = largest.size - this.#seq
      const message = `the last ${missing} entries are missing: a checkpoint of ${largest.at} counts ${largest.size}`
      this.#find('tail_missing', this.#seq + 1n, message)
    }
    if (!largest) {
      this.#find(
        'no_checkpoint',
        this.#seq,
        'no checkpoint signed by a given key: a cut tail would not show',
      )
    }
    // Asked of all that was found, of which only the first ones are listed.
    const broken = (test: (code: AuditFinding['code']) => boolean) => [...this.#codes].some(test)
    return {
      integrity: broken((code) => code !== 'no_checkpoint' && code !== 'tail_missing')
        ? 'broken'
        : 'ok',
      completeness: broken((code) => COMPLETENESS_CODES.has(code))
        ? 'broken'
        : largest
          ? 'ok'
          : 'unknown',
      entries: this.#entries,
      head: this.#hash,
      checkpoints: this.#verified,
      signedSize: String(this.#signedSize),
      archivedSize: String(this.#archivedSize),
      losses: this.#losses,
      findings: this.#findings,
    }
  }

  // A record that does not begin at the beginning begins where a signed statement says it may.
  #begin(seq: bigint): void {
    const archive = this.#archives.get(String(seq - 1n))
    if (!archive) return
    this.#seq = archive.size
    this.#hash = archive.head
    this.#archivedSize = archive.size
  }

  #largest(): Checkpoint | undefined {
    return this.#genuine
      .filter((one) => !this.#isLost(one))
      .reduce<Checkpoint | undefined>(
        (best, one) => (best && best.size >= one.size ? best : one),
        undefined,
      )
  }

  // Counts as the next entry after what was left; that of another replica, by its own key, names the same place.
  #lose(entry: AuditEntry): void {
    const loss = lossOf(entry)
    if (!loss) return this.#noLoss(entry)
    const isInPlace = loss.size === this.#seq && loss.head === this.#hash
    if (isInPlace) this.#cuts.set(String(loss.size), loss.head)
    const isAtCut = this.#cuts.get(String(loss.size)) === loss.head
    const key = this.#keys.get(loss.keyId)
    if (!isAtCut || (key && !verifyLoss(loss, key))) return this.#noLoss(entry)
    this.#losses.push({ ...loss, verified: key !== undefined })
  }

  #noLoss({ seq }: AuditEntry): void {
    this.#find('loss_signature', seq, 'accepts a loss without a signature that holds')
  }

  #isLost(checkpoint: Checkpoint): boolean {
    return isLost(
      checkpoint,
      this.#losses.filter(({ verified }) => verified),
    )
  }

  #isGenuine(checkpoint: Checkpoint): boolean {
    const key = this.#keys.get(checkpoint.keyId)
    if (!key) return false // another replica's key, not given to this verifier
    if (verifyCheckpoint(checkpoint, key)) return true
    this.#find(
      'checkpoint_signature',
      checkpoint.size,
      'the checkpoint of this size has a false signature',
    )
    return false
  }

  #compareColumns(entry: AuditEntry): void {
    const body = parseBody(entry.body)
    if (!body) {
      this.#find('malformed', entry.seq, 'its body is not JSON')
      return
    }
    for (const [name, value] of Object.entries(entryColumns(entry))) {
      if (body[name] === value) continue
      this.#find('column_altered', entry.seq, `column ${name} differs from the hashed body`)
    }
  }

  #compareCheckpoints(): void {
    for (const checkpoint of this.#checkpoints.get(String(this.#seq)) ?? []) {
      if (checkpoint.head !== this.#hash) this.#mismatches.push(checkpoint)
      else {
        this.#verified++
        this.#signedSize = this.#seq
      }
    }
  }

  // Said at the end: that a checkpoint was lost may stand behind the place where it was.
  #findMismatches(): void {
    for (const one of this.#mismatches) {
      if (this.#isLost(one)) continue
      this.#find('checkpoint_mismatch', one.size, `differs from the checkpoint of ${one.at}`)
    }
  }

  #find(code: AuditFinding['code'], seq: bigint | string, message: string): void {
    this.#codes.add(code)
    if (this.#findings.length < FINDINGS_MAX) {
      this.#findings.push({ code, seq: String(seq), message })
    }
  }
}

function groupBySize(checkpoints: readonly Checkpoint[]): Map<string, readonly Checkpoint[]> {
  const groups = new Map<string, Checkpoint[]>()
  for (const one of checkpoints) {
    const size = String(one.size)
    groups.set(size, [...(groups.get(size) ?? []), one])
  }
  return groups
}

function parseBody(text: string): JsonObject | undefined {
  try {
    return JSON.parse(text) as JsonObject
  } catch {
    return undefined
  }
}
