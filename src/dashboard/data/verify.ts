// The record verified where it is read, by the browser's own cryptography: each entry's hash over the one before it, and
// the signatures of checkpoints. Written apart from what the gate verifies with, and from the format alone, so that
// nobody has to believe the gate. Lines are taken as they arrive, and of each entry only its hash is kept.

export interface Finding {
  readonly seq: number
  readonly message: string
}

export interface Verdict {
  readonly integrity: 'whole' | 'broken'
  readonly completeness: 'whole' | 'broken' | 'unknown'
  readonly entries: number
  readonly head: string
  /** Checkpoints whose signature holds and whose entry has that hash. */
  readonly signed: number
  readonly signedSize: number
  /** Keys that signed: the gate's own word, unless somebody compares them. */
  readonly keys: readonly string[]
  readonly findings: readonly Finding[]
}

/** A place in the record that this browser saw, so that another past of it shows. */
export interface Seen {
  readonly size: number
  readonly head: string
  readonly keys: readonly string[]
}

interface Entry {
  readonly seq: number
  readonly body: string
  readonly prev_hash: string
  readonly hash: string
  readonly [column: string]: unknown
}

interface Statement {
  readonly type: string
  readonly size: number
  readonly head: string
  readonly at: string
  readonly key_id: string
  readonly signature: string
}

/** Entries that are gone, as somebody accepted and signed it. */
interface Loss {
  readonly lost_size: number
  readonly lost_head: string
  readonly size: number
  readonly head: string
  readonly accepted_at: string
  readonly reason: string
  readonly key_id: string
  readonly signature: string
}

const GENESIS = '0'.repeat(64)
const FINDINGS_MAX = 20
const COLUMNS = ['seq', 'at', 'kind', 'agent_id', 'tool', 'effect', 'action_id']
const UTF8 = new TextEncoder()

const hex = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
const bytesOf = (base64: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  hex(await crypto.subtle.digest('SHA-256', bytes))

export class Verifier {
  readonly #seen: Seen | null
  readonly #keys = new Map<string, CryptoKey>()
  readonly #statements: Statement[] = []
  /** Hashes where a checkpoint may want to be compared: only those are known at the end. */
  readonly #hashes = new Map<number, string>()
  readonly #findings: Finding[] = []
  #entries = 0
  #seq = 0
  #hash = GENESIS
  #first = { seq: 1, prev: GENESIS }
  #said = { size: 0, head: '' }
  #isEnded = false
  readonly #losses: Loss[] = []

  /** `seen`: what this browser verified before, if anything. */
  constructor(seen: Seen | null) {
    this.#seen = seen
  }

  get entries(): number {
    return this.#entries
  }

  async line(text: string): Promise<void> {
    if (text === '') return
    const line = parsed(text)
    if (!line) return this.#find(this.#seq + 1, 'a line that is no JSON')
    if (line['type'] === 'head') await this.#head(line)
    else if (line['type'] === 'entry') await this.#entry(line as unknown as Entry)
    else if (line['type'] === 'end') this.#isEnded = true
    else if (line['type'] === 'checkpoint' || line['type'] === 'archive') {
      this.#statements.push(line as unknown as Statement)
    }
  }

  async finish(): Promise<Verdict> {
    if (!this.#isEnded) this.#find(this.#seq + 1, 'the export was cut off')
    if (this.#said.size !== this.#seq || (this.#seq > 0 && this.#said.head !== this.#hash)) {
      this.#find(
        this.#seq,
        `the head says ${this.#said.size} entries, and another hash or number came`,
      )
    }
    const signed = await this.#genuine()
    this.#compareSeen()
    this.#compareBeginning()
    const largest = Math.max(0, ...signed.map(({ size }) => size))
    const isShort = largest > this.#seq
    if (isShort) this.#find(this.#seq + 1, `a signed checkpoint counts ${largest} entries`)
    const isBroken = this.#findings.length > 0
    return {
      integrity: isBroken ? 'broken' : 'whole',
      completeness: isBroken ? 'broken' : signed.length > 0 ? 'whole' : 'unknown',
      entries: this.#entries,
      head: this.#hash,
      signed: signed.length,
      signedSize: largest,
      keys: [...this.#keys.keys()],
      findings: this.#findings,
    }
  }

  /** What to remember of a record that was found whole. */
  seen(): Seen {
    return { size: this.#seq, head: this.#hash, keys: [...this.#keys.keys()] }
  }

  async #head(line: Readonly<Record<string, unknown>>): Promise<void> {
    this.#said = { size: Number(line['size']), head: String(line['head']) }
    const keys = (line['keys'] ?? []) as readonly { key_id: string; public_key: string }[]
    for (const { key_id: id, public_key: pem } of keys) {
      const der = bytesOf(pem.replaceAll(/-----[^-]+-----|\s/g, ''))
      const isItself = (await sha256(der)).slice(0, 16) === id
      if (!isItself) this.#find(0, `the key ${id} is another one than its name says`)
      else
        this.#keys.set(id, await crypto.subtle.importKey('spki', der, 'Ed25519', false, ['verify']))
    }
  }

  async #entry(entry: Entry): Promise<void> {
    const { seq, body, prev_hash: prev, hash } = entry
    if (this.#entries++ === 0) {
      this.#first = { seq, prev }
      this.#seq = seq - 1
      this.#hash = prev
    }
    if (seq !== this.#seq + 1) this.#find(seq, `comes after entry ${this.#seq}`)
    else if (prev !== this.#hash) this.#find(seq, 'does not continue the entry before it')
    if ((await sha256(UTF8.encode(`${prev}\n${body}`))) !== hash) {
      this.#find(seq, 'is not what was hashed: it or its hash was changed')
    }
    const said = parsed(body) ?? {}
    const wrong = COLUMNS.find((name) => said[name] !== entry[name])
    if (wrong !== undefined) this.#find(seq, `its ${wrong} differs from what was hashed`)
    if (said['kind'] === 'audit.loss_accepted') await this.#lose(seq, said as unknown as Loss)
    this.#seq = seq
    this.#hash = hash
    this.#hashes.set(seq, hash)
  }

  // Only what a key signed excuses anything: the size it was accepted at, up to the size that was signed before.
  async #lose(seq: number, loss: Loss): Promise<void> {
    const key = this.#keys.get(loss.key_id)
    const reason = await sha256(UTF8.encode(loss.reason))
    const { lost_size: lostSize, lost_head: lostHead, size, head, accepted_at: at } = loss
    const text = ['portcullis-loss/v1', lostSize, lostHead, size, head, at, reason, ''].join('\n')
    const isAtCut = size < seq && (size === seq - 1 ? this.#hash : this.#hashes.get(size)) === head
    if (isAtCut && key && (await holdsOf(key, loss.signature, text))) this.#losses.push(loss)
    else this.#find(seq, 'accepts a loss without a signature that holds')
  }

  #isLost(size: number, at: string | null): boolean {
    return this.#losses.some(
      (loss) =>
        size > loss.size && size <= loss.lost_size && (at === null || at <= loss.accepted_at),
    )
  }

  async #genuine(): Promise<readonly Statement[]> {
    const genuine: Statement[] = []
    for (const one of this.#statements) {
      const key = this.#keys.get(one.key_id)
      const text = `portcullis-${one.type}/v1\n${one.size}\n${one.head}\n${one.at}\n`
      const holds = key && (await holdsOf(key, one.signature, text))
      if (!holds) this.#find(one.size, `the ${one.type} of this size has no signature that holds`)
      else if (one.type === 'checkpoint' && !this.#isLost(one.size, one.at)) genuine.push(one)
    }
    return genuine.filter((one) => this.#fits(one))
  }

  // One that counts more than there is shows at the end; one from before an archive's end has nothing to be compared to.
  #fits({ size, head, at }: Statement): boolean {
    const isThere = size >= this.#first.seq && size <= this.#seq
    if (isThere && this.#hashes.get(size) !== head) {
      this.#find(size, `differs from what was signed at ${at}`)
    }
    return size >= this.#first.seq - 1
  }

  #compareBeginning(): void {
    const { seq, prev } = this.#first
    if (this.#entries === 0 || (seq === 1 && prev === GENESIS)) return
    const isArchived = this.#statements.some(
      ({ type, size, head }) => type === 'archive' && size === seq - 1 && head === prev,
    )
    if (!isArchived) this.#find(seq, 'is the first one, and no signed archive says that it may be')
  }

  #compareSeen(): void {
    if (!this.#seen || this.#isLost(this.#seen.size, null)) return
    const { size, head, keys } = this.#seen
    if (size > this.#seq) this.#find(this.#seq + 1, `this browser has seen ${size} entries before`)
    else if (size >= this.#first.seq && this.#hashes.get(size) !== head) {
      this.#find(size, 'this browser has seen another entry here before')
    }
    if (!keys.every((one) => this.#keys.has(one))) {
      this.#find(0, 'a key that signed before is not among the keys now')
    }
  }

  #find(seq: number, message: string): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push({ seq, message })
  }
}

async function holdsOf(key: CryptoKey, signature: string, text: string): Promise<boolean> {
  try {
    return await crypto.subtle.verify('Ed25519', key, bytesOf(signature), UTF8.encode(text))
  } catch {
    return false
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}

/** Verifies what the gate exports; `tell` hears how many entries are done. @throws what the gate refuses */
export async function verifyRecord(
  body: ReadableStream<Uint8Array>,
  seen: Seen | null,
  tell: (entries: number) => void,
): Promise<{ readonly verdict: Verdict; readonly seen: Seen }> {
  const verifier = new Verifier(seen)
  const reader = body
    .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
    .getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) await verifier.line(line)
    tell(verifier.entries)
  }
  await verifier.line(rest)
  return { verdict: await verifier.finish(), seen: verifier.seen() }
}
